//! Exit codes and environment variables of all commands. The tests generate `docs/cli.md` from them and from the definition
//! of the commands.

/// The exit codes and what they mean.
pub(crate) const EXIT_CODES: &[(&str, &str)] = &[
    (
        "0",
        "Success. Also when explore or local is ended by Ctrl-C or SIGTERM, and when the reader of the output closes it (pregao query ... | head).",
    ),
    ("1", "Failure. The standard error says why, and what can be done about it."),
    ("2", "The command line is wrong. Nothing was done."),
    ("3", "status --check: a day that is over is stale, failed, unpublished, missing or incomplete."),
    (
        "130",
        "Interrupted by Ctrl-C (SIGINT). run and upload first stop their execution, query first cancels its query. A second Ctrl-C ends the program at once.",
    ),
    ("143", "Ended by SIGTERM, in the same way."),
];

/// The environment variables and what they do.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "PREGAO_LOG",
        "What to log to the standard error: a level (error, warn, info, debug, trace) for everything, or a list of TARGET=LEVEL such as pregao=debug,lake=trace. A target is the path of a Rust module; filters by span or field are not supported. Unset or empty: nothing, unless --verbose is given.",
    ),
    (
        "PREGAO_FAULTS",
        "For tests: a fault plan as local --faults takes it, for the endpoint that a command opens itself. PREGAO_FAULTS_SEED is its seed (1).",
    ),
    (
        "PREGAO_VACUUM_FLOOR_SECONDS",
        "For tests: how old a run must be for vacuum to remove it, in place of an hour. Unsafe while anything else works on the lake.",
    ),
    ("NO_COLOR", "Not empty: no colour. --color takes precedence."),
    ("CLICOLOR_FORCE", "Neither empty nor 0: colour also in a pipe or a file. --color and NO_COLOR take precedence."),
    ("CLICOLOR", "0: no colour."),
    ("TERM", "Unset or dumb: no colour."),
    ("SPARK_HOME", "Where run --engine spark and local --engine spark look for bin/spark-sql, before the PATH."),
    (
        "AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...",
        "With --aws, deploy and destroy: credentials, region and endpoints, as the AWS CLI reads them. aws.profile and aws.region of the configuration take precedence.",
    ),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use clap::{Arg, Command, CommandFactory};

    use super::*;
    use crate::args::{Cli, GLOBAL};
    use crate::generated::check;

    /// The commands with `--format json`, by the names of their schemas in `docs/schemas/`.
    const SCHEMAS: [(&str, &str); 15] = [
        ("upload", "upload"),
        ("run", "run"),
        ("backfill", "backfill"),
        ("status", "status"),
        ("verify", "verify"),
        ("vacuum", "vacuum"),
        ("files", "files"),
        ("history", "history"),
        ("rollback", "rollback"),
        ("diff", "diff"),
        ("runs", "runs"),
        ("etl", "etl"),
        ("doctor", "doctor"),
        ("smoke", "smoke"),
        ("cluster status", "cluster-status"),
    ];

    #[test]
    fn the_reference_is_that_of_the_commands() {
        check(Path::new("cli.md"), &reference());
    }

    #[test]
    fn every_command_with_json_has_a_schema() {
        let mut cli = Cli::command();
        cli.build();
        let mut found = Vec::new();
        for (path, command) in commands(&cli) {
            let format = command.get_arguments().find(|argument| argument.get_id() == "format");
            if format.is_some() && path != "query" {
                found.push(path);
            }
        }
        assert_eq!(found, SCHEMAS.map(|(path, _)| path));
    }

    /// Returns all commands in the order of the help, subcommands after their parents.
    fn commands(cli: &Command) -> Vec<(String, &Command)> {
        let mut all = Vec::new();
        for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            all.push((name.to_owned(), command));
            all.extend(commands(command).into_iter().map(|(below, command)| (format!("{name} {below}"), command)));
        }
        all
    }

    fn reference() -> String {
        let mut cli = Cli::command();
        cli.build();
        let mut text = format!(
            "# The command line\n\n\
             <!-- Generated, not written by hand. To update it: {} -->\n\n\
             {}. Results go to the standard output; progress, notes, warnings and errors to the standard error.\n\n",
            crate::generated::COMMAND,
            cli.get_about().map(ToString::to_string).unwrap_or_default(),
        );
        let all = commands(&cli);
        text += "| command | does |\n|---|---|\n";
        for (path, command) in &all {
            let link = path.replace(' ', "-");
            writeln!(text, "| [`pregao {path}`](#pregao-{link}) | {} |", about(command)).expect("a String");
        }
        text += "\n`pregao --version` prints the version, with the commit that it was built from and its date. \
                 `pregao help COMMAND` and `pregao COMMAND --help` print what is below.\n\n## Global options\n\n\
                 Every command takes them, before or after its name.\n\n";
        text += &arguments(cli.get_arguments().filter(|argument| is_global(argument)));
        for (path, command) in &all {
            text += &section(path, command);
        }
        text += "\n## JSON\n\n\
                 With `--format json` the standard output is exactly one JSON document. When the command fails, the document has \
                 an object `error` (`name`, `message`, `hints`). There is no document after a wrong command line (exit code 2), after a \
                 second Ctrl-C, and when a command is interrupted that waits for its turn, or `etl`. \
                 Times are RFC 3339 in UTC, days `YYYY-MM-DD`, sizes bytes, durations seconds. Later versions may add fields.\n\n\
                 | command | JSON Schema |\n|---|---|\n";
        for (path, file) in SCHEMAS {
            writeln!(text, "| `pregao {path}` | [schemas/{file}.json](schemas/{file}.json) |").expect("a String");
        }
        text += "\n`pregao query --format json` writes an array of objects, one a row, by the names of the columns; numbers are \
                 as exact as Athena's, `NaN` and infinities are texts. It writes nothing when the statement fails.\n";
        text += "\n## Exit codes\n\n| code | meaning |\n|---|---|\n";
        for (code, meaning) in EXIT_CODES {
            writeln!(text, "| {code} | {} |", meaning.replace('|', "\\|")).expect("a String");
        }
        text += "\n## Environment variables\n\n| variable | does |\n|---|---|\n";
        for (variable, meaning) in ENVIRONMENT {
            let names: Vec<String> = variable.split(", ").map(|name| format!("`{name}`")).collect();
            writeln!(text, "| {} | {meaning} |", names.join(", ").replace("`...`", "...")).expect("a String");
        }
        text
    }

    fn section(path: &str, command: &Command) -> String {
        let mut text = format!("\n## `pregao {path}`\n\n{}.\n\n", about(command));
        let usage = command.clone().render_usage().to_string();
        let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
        writeln!(text, "```text\n{usage}\n```\n").expect("a String");
        let own = command.get_arguments().filter(|argument| !is_global(argument) && argument.get_id() != "help");
        text += &arguments(own);
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = examples.lines().skip(1).map(str::trim).collect();
        writeln!(text, "```sh\n{}\n```", examples.join("\n")).expect("a String");
        text
    }

    fn about(command: &Command) -> String {
        command.get_about().map(ToString::to_string).unwrap_or_default()
    }

    fn is_global(argument: &Arg) -> bool {
        argument.get_help_heading() == Some(GLOBAL)
    }

    /// Returns a table of arguments and options with values and defaults; empty without any.
    fn arguments<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
        let mut lines = String::new();
        for argument in arguments.filter(|argument| !argument.is_hide_set()) {
            let value = argument.get_value_names().and_then(|names| names.first()).filter(|_| takes_value(argument));
            let name = match (argument.get_short(), argument.get_long()) {
                (Some(short), Some(long)) => format!("-{short}, --{long}"),
                (None, Some(long)) => format!("--{long}"),
                _ => String::new(),
            };
            let name = match value {
                Some(value) if name.is_empty() => value.to_string(),
                Some(value) => format!("{name} {value}"),
                None => name,
            };
            let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
            if takes_value(argument) {
                let defaults: Vec<_> =
                    argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
                if !defaults.is_empty() {
                    write!(help, " [default: {}]", defaults.join(" ")).expect("a String");
                }
                for possible in argument.get_possible_values() {
                    let meaning = possible.get_help().map(|help| format!(": {help}")).unwrap_or_default();
                    write!(help, "<br>`{}`{meaning}", possible.get_name()).expect("a String");
                }
            }
            writeln!(lines, "| `{name}` | {help} |").expect("a String");
        }
        if lines.is_empty() { lines } else { format!("| option | does |\n|---|---|\n{lines}\n") }
    }

    fn takes_value(argument: &Arg) -> bool {
        argument.get_action().takes_values()
    }
}
