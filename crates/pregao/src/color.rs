//! Colours of the output: whether they are used, and which.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

use clap::ColorChoice;
use console::Style;

use crate::args::When;

/// Returns the value of `--color`, before clap parses the command line, because clap colours its own help and errors. Invalid
/// values are left to clap.
pub(crate) fn asked(arguments: impl IntoIterator<Item = OsString>) -> When {
    let mut when = When::Auto;
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str() {
            Some("--color") => arguments.next(),
            Some(text) => text.strip_prefix("--color=").map(OsString::from),
            None => None,
        };
        match value.as_deref().and_then(OsStr::to_str) {
            Some("auto") => when = When::Auto,
            Some("always") => when = When::Always,
            Some("never") => when = When::Never,
            _ => {}
        }
    }
    when
}

/// Sets whether stdout and stderr are coloured. Returns the choice for clap's help and errors.
pub(crate) fn set(when: When) -> ColorChoice {
    let variables = Variables {
        no_color: env::var_os("NO_COLOR"),
        clicolor_force: env::var_os("CLICOLOR_FORCE"),
        clicolor: env::var_os("CLICOLOR"),
        term: env::var_os("TERM"),
    };
    let stdout = variables.decide(when, std::io::stdout().is_terminal());
    let stderr = variables.decide(when, std::io::stderr().is_terminal());
    console::set_colors_enabled(stdout);
    console::set_colors_enabled_stderr(stderr);
    match (stdout, stderr) {
        (true, true) => ColorChoice::Always,
        (false, false) => ColorChoice::Never,
        // clap checks each stream itself.
        _ => ColorChoice::Auto,
    }
}

/// The environment variables that control colours, with their usual meaning (no-color.org, bixense.com/clicolors).
#[derive(Debug, Default)]
struct Variables {
    no_color: Option<OsString>,
    clicolor_force: Option<OsString>,
    clicolor: Option<OsString>,
    term: Option<OsString>,
}

impl Variables {
    fn decide(&self, when: When, is_terminal: bool) -> bool {
        let is_set = |variable: &Option<OsString>| variable.as_ref().is_some_and(|value| !value.is_empty());
        let is_zero = |variable: &Option<OsString>| variable.as_ref().is_some_and(|value| value == "0");
        match when {
            When::Always => true,
            When::Never => false,
            When::Auto if is_set(&self.no_color) => false,
            When::Auto if is_set(&self.clicolor_force) && !is_zero(&self.clicolor_force) => true,
            When::Auto => {
                is_terminal && !is_zero(&self.clicolor) && self.term.as_ref().is_some_and(|term| term != "dumb")
            }
        }
    }
}

/// Returns the style for the status of an execution, a cluster or a day, by its name.
pub(crate) fn for_status(status: &str) -> Style {
    match status {
        "SUCCEEDED" | "published" | "WAITING" => Style::new().green(),
        "FAILED" | "TIMED_OUT" | "failed" | "missing" | "TERMINATED_WITH_ERRORS" => Style::new().red(),
        "ABORTED" | "stale" | "unpublished" | "incomplete" | "held" => Style::new().yellow(),
        "RUNNING" | "PENDING_REDRIVE" | "STARTING" | "BOOTSTRAPPING" => Style::new().cyan(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_found_wherever_it_stands() {
        let asked = |line: &str| asked(line.split_whitespace().map(OsString::from));
        for (line, when) in [
            ("pregao runs", When::Auto),
            ("pregao --color always runs", When::Always),
            ("pregao runs --color=never", When::Never),
            ("pregao --color=never runs --color always", When::Always),
            ("pregao --color sometimes runs", When::Auto),
            ("pregao query -- --color=always", When::Auto),
            ("pregao runs --color", When::Auto),
        ] {
            assert_eq!(asked(line), when, "{line}");
        }
    }

    #[test]
    fn the_option_goes_before_the_variables_and_these_before_the_terminal() {
        let some = |text: &str| Some(OsString::from(text));
        let xterm = || Variables { term: some("xterm"), ..Variables::default() };
        let cases = [
            (xterm(), true, true),
            (xterm(), false, false),
            (Variables::default(), true, false),
            (Variables { term: some("dumb"), ..Variables::default() }, true, false),
            (Variables { no_color: some("1"), ..xterm() }, true, false),
            (Variables { no_color: some(""), ..xterm() }, true, true),
            (Variables { clicolor_force: some("1"), ..Variables::default() }, false, true),
            (Variables { clicolor_force: some("0"), ..xterm() }, false, false),
            (Variables { no_color: some("1"), clicolor_force: some("1"), ..xterm() }, true, false),
            (Variables { clicolor: some("0"), ..xterm() }, true, false),
        ];
        for (variables, is_terminal, colour) in cases {
            assert_eq!(variables.decide(When::Auto, is_terminal), colour, "{variables:?} {is_terminal}");
            assert!(variables.decide(When::Always, is_terminal));
            assert!(!variables.decide(When::Never, is_terminal));
        }
    }
}
