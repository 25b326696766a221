//! `pregao doctor`: checks of this machine, or of an AWS account, with what to do about each fault.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::{DoctorArgs, Format, Global, OutputFormat};
use crate::doctor::{self, Check, CheckResult, Moment};
use crate::endpoint::{configuration, is_on_aws, runtime};
use crate::output::{self, Doctor};
use crate::tabular::{self, Row};

/// Makes the checks, and prints them. The exit code is 1 if one failed.
pub(crate) fn doctor(global: &Global, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let (aws, checks) = match configuration(global) {
        Ok(config) if is_on_aws(global, &config) => (true, runtime()?.block_on(doctor::account(&config, Moment::Any))),
        Err(error) if global.aws => return Err(error),
        // Of this machine, the configuration is one of the checks.
        _ => (false, doctor::machine(global)),
    };
    let document = Doctor { aws, checks };
    if args.format == OutputFormat::Json {
        output::print(&document)?;
    } else {
        print_text(&document.checks)?;
    }
    let has_failed = document.checks.iter().any(|check| check.result == CheckResult::Failed);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_text(checks: &[Check]) -> io::Result<()> {
    let columns =
        tabular::columns([("check", "varchar"), ("result", "varchar"), ("found", "varchar"), ("remedy", "varchar")]);
    let row = |check: &Check| -> Row {
        let result = check.result.as_str().to_owned();
        vec![
            Some(check.name.clone()),
            Some(result),
            Some(check.found.clone()),
            Some(check.remedy.clone().unwrap_or_default()),
        ]
    };
    let rows: Vec<Row> = checks.iter().map(row).collect();
    let mut out = io::stdout().lock();
    let mut writer = tabular::Writer::new(&mut out, Format::Table, columns.into(), tabular::terminal_width())?;
    writer.page(&rows)?;
    writer.end()?;
    let count = |result: CheckResult| checks.iter().filter(|check| check.result == result).count();
    let counts =
        [CheckResult::Failed, CheckResult::Warning, CheckResult::Unknown].map(|result| (result, count(result)));
    let named: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(result, count)| format!("{count} {}", result.as_str()))
        .collect();
    let rest = if named.is_empty() { "nothing is wrong".to_owned() } else { named.join(", ") };
    writeln!(out, "{} checks: {rest}", checks.len())
}
