//! The command line of the model: see `README.md`.

use std::io::Write;
use std::process::ExitCode;

use model::protocol::{Broken, Protocol};
use model::report::{self, Found};
use model::scenario::{self, Scenario};

const USAGE: &str = "\
usage: model check [--scenario NAME] [--runs N] [--zombies N] [--tables N]
           checks the protocol: in all scenarios that take minutes at most, in those of N runs, or in one, changed so
       model broken [NAME]
           prints what is wrong with a broken protocol, or with each
       model list
           prints the scenarios and the broken protocols";

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

fn check(mut options: &[&str]) -> Result<(), String> {
    let mut named: Option<Scenario> = None;
    let (mut runs, mut zombies, mut tables) = (None, None, None);
    while let [option, value, rest @ ..] = options {
        options = rest;
        let number = |least: u8, most: usize| match value.parse::<u8>() {
            Ok(number) if number >= least && usize::from(number) <= most => Ok(Some(number)),
            _ => Err(format!("{option} takes a number from {least} to {most}, not {value}")),
        };
        match *option {
            "--scenario" => {
                let found = scenario::ALL.iter().find(|scenario| scenario.name == *value);
                named = Some(*found.ok_or(format!("there is no scenario {value}: `model list` prints them"))?);
            }
            "--runs" => runs = number(1, model::lake::RUNS)?,
            "--zombies" => zombies = number(0, 9)?,
            "--tables" => tables = number(1, model::lake::TABLES)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    if !options.is_empty() {
        return Err(USAGE.to_owned());
    }
    let scenarios: Vec<Scenario> = match named {
        Some(scenario) => vec![Scenario { runs: runs.unwrap_or(scenario.runs), ..scenario }],
        None => {
            let short = scenario::ALL.iter().filter(|scenario| **scenario != scenario::EVERYTHING);
            short.copied().filter(|scenario| runs.is_none_or(|runs| scenario.runs == runs)).collect()
        }
    };
    let mut holds = !scenarios.is_empty();
    for scenario in scenarios {
        let zombies = zombies.unwrap_or(scenario.zombies);
        let tables = tables.unwrap_or(scenario.tables);
        let found = report::check(Scenario { zombies, tables, ..scenario }, Protocol::default());
        print(&found);
        holds &= found.counterexamples.is_empty();
    }
    if holds { Ok(()) } else { Err("the protocol does not hold what it promises".to_owned()) }
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
