//! The command line of the model: see `README.md`.

use std::io::Write;
use std::process::ExitCode;

use model::lake::{ATTEMPTS, RUNS, TABLES};
use model::protocol::{Broken, Protocol};
use model::report::{self, Found};
use model::scenario::{self, Scenario};

const USAGE: &str = "\
usage: model check [--runs N]
           checks the protocol in all scenarios that take seconds, or in those of N runs
       model check SCENARIO [FIELD=N...]
           checks it in one, changed so: vacuum lost=2
       model broken [NAME]
           prints what is wrong with a broken protocol, or with each
       model list
           prints the scenarios with their fields, and the broken protocols";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["check", options @ ..] => check(options),
        ["broken"] => Broken::ALL.iter().map(|broken| show(*broken)).collect::<Result<Vec<_>, _>>().map(drop),
        ["broken", name] => match Broken::ALL.iter().find(|broken| broken.name() == *name) {
            Some(broken) => show(*broken),
            None => Err(format!("there is no broken protocol {name}: `model list` prints them")),
        },
        ["list"] => {
            list();
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn check(options: &[&str]) -> Result<(), String> {
    let short = || scenario::ALL.iter().copied().filter(|scenario| *scenario != scenario::EVERYTHING);
    let scenarios: Vec<Scenario> = match options {
        [] => short().collect(),
        ["--runs", runs] => short().filter(|scenario| scenario.runs.to_string() == *runs).collect(),
        [name, changes @ ..] => vec![changed(name, changes)?],
    };
    if scenarios.is_empty() {
        return Err("there is no such scenario: `model list` prints them".to_owned());
    }
    let mut holds = true;
    for scenario in scenarios {
        let found = report::check(scenario, Protocol::default());
        print(&found);
        holds &= found.counterexamples.is_empty();
    }
    if holds { Ok(()) } else { Err("the protocol does not hold what it promises".to_owned()) }
}

/// The scenario of this name, with other numbers.
fn changed(name: &str, changes: &[&str]) -> Result<Scenario, String> {
    let found = scenario::ALL.iter().find(|scenario| scenario.name == name);
    let mut scenario = *found.ok_or(format!("there is no scenario {name}: `model list` prints them\n{USAGE}"))?;
    for change in changes {
        let Some((field, value)) = change.split_once('=') else { return Err(USAGE.to_owned()) };
        let most = match field {
            "runs" => RUNS,
            "attempts" => ATTEMPTS,
            "tables" => TABLES,
            _ => 9,
        };
        let number = value.parse::<u8>().ok().filter(|number| usize::from(*number) <= most);
        let place =
            scenario.field(field).ok_or(format!("scenarios have no field {field}: `model list` prints them"))?;
        *place = number.ok_or(format!("{field} is a number up to {most}, and not {value}"))?;
    }
    Ok(scenario)
}

fn show(broken: Broken) -> Result<(), String> {
    let found = report::counterexample(broken);
    print(&found);
    let is_rejected = found.counterexamples.iter().any(|one| one.property == broken.property());
    if is_rejected { Ok(()) } else { Err(format!("{} is not rejected: the model is too weak", broken.name())) }
}

fn print(found: &Found) {
    let mut text = format!("{found}\n");
    for counterexample in &found.counterexamples {
        text += &format!("  {}:\n", counterexample.property);
        for (index, line) in counterexample.trace.iter().enumerate() {
            text += &format!("{:>4}. {line}\n", index + 1);
        }
    }
    say(&text);
}

fn list() {
    let scenarios = scenario::ALL.iter().map(|scenario| format!("{:20} {scenario:?}\n", scenario.name));
    let broken = Broken::ALL.iter();
    let broken = broken.map(|one| format!("{:28} {} Violates: {}\n", one.name(), one.what(), one.property()));
    say(&scenarios.chain(broken).collect::<String>());
}

/// Prints a text. A reader that has gone (`| head`) is no failure of the check.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
