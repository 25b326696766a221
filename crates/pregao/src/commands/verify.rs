//! `pregao verify`: checks that catalog, files, reports and raw files of a lake are consistent.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use local_aws::Owner;
use market::partition::DateRange;

use crate::args::{Global, OutputFormat, VerifyArgs};
use crate::endpoint::{Use, configuration, is_on_aws, with_lake};
use crate::error_report::{self, Hint};
use crate::format;
use crate::interrupt::Interrupted;
use crate::output::{self, Finding, FindingKind, Verify};
use crate::progress::Progress;
use crate::verify::{self, Findings, Options};

/// Runs all checks, and prints the problems. The exit code is 1 if there are any.
pub(crate) fn verify(global: &Global, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(to)) = (args.from, args.to) {
        DateRange::new(from, to).hint("pregao verify --from FIRST --to LAST")?;
    }
    let config = configuration(global)?;
    let options = Options { deep: args.deep, from: args.from, to: args.to, program: global.program() };
    let mut findings = Findings::default();
    let mut can_be_opened = true;
    if !is_on_aws(global, &config) {
        if !global.home.exists() {
            return error_report::fail(
                format!("there is no home {}", global.home.display()),
                "name the folder of the lake with --home",
            );
        }
        let is_owned = Owner::find(&global.home)?.is_some();
        can_be_opened = verify::home::check(&global.home, &config, &options, is_owned, &mut findings);
    }
    let findings = if can_be_opened { of_lake(global, &options, findings)? } else { findings };
    let document = document(&options, can_be_opened, findings);
    if args.format == OutputFormat::Json {
        output::print(&document)?;
    } else {
        print_text(global, &document)?;
    }
    Ok(if document.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the checks that need the endpoint. A lake that cannot be opened is a finding, so that other findings are printed.
fn of_lake(global: &Global, options: &Options, findings: Findings) -> anyhow::Result<Findings> {
    let found = Mutex::new(findings);
    let looked = with_lake(global, Use::Questions, async |lake| {
        let mut now = Findings { checked: held(&found).checked.clone(), ..Findings::default() };
        verify::lake(lake, options, &mut now).await;
        let mut found = held(&found);
        found.checked = now.checked;
        found.problems.extend(now.problems);
        found.notes = now.notes;
        Ok(ExitCode::SUCCESS)
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = looked {
        if error.chain().any(|cause| cause.is::<Interrupted>()) {
            return Err(error);
        }
        let file = if global.aws { "the stack".to_owned() } else { global.home.display().to_string() };
        found.add(
            FindingKind::Unreadable,
            file,
            "a lake that can be opened",
            &error_report::causes(&error).map(ToString::to_string).collect::<Vec<_>>().join(": "),
            "see to it, and verify again",
        );
    }
    Ok(found)
}

fn held(found: &Mutex<Findings>) -> std::sync::MutexGuard<'_, Findings> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

fn document(options: &Options, complete: bool, findings: Findings) -> Verify {
    let Findings { checked, mut problems, notes } = findings;
    problems.sort_by(|one, other| (one.kind, &one.file).cmp(&(other.kind, &other.file)));
    Verify {
        deep: options.deep,
        from: options.from.map(|date| date.to_string()),
        to: options.to.map(|date| date.to_string()),
        complete,
        checked,
        problems,
        notes,
    }
}

fn print_text(global: &Global, document: &Verify) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Finding { kind, file, expected, found, repair } in &document.problems {
        writeln!(out, "{}: {file}", kind.as_str())?;
        writeln!(out, "  expected  {expected}\n  found     {found}\n  repair    {repair}")?;
    }
    let progress = Progress::new();
    for note in &document.notes {
        progress.line(&format!("note: {}", note.text));
    }
    let checked = &document.checked;
    let depth = if document.deep {
        format!("{} read", format::bytes(checked.bytes_read))
    } else {
        format!("without a look at their bytes; {} verify --deep reads them", global.program())
    };
    progress.line(&format!(
        "looked at {} partitions with {} Parquet files, {} reports and {} raw files, {depth}",
        checked.partitions, checked.parquet_files, checked.reports, checked.raw_files
    ));
    match document.problems.len() {
        0 => writeln!(out, "nothing is wrong"),
        1 => writeln!(out, "1 problem"),
        many => writeln!(out, "{many} problems"),
    }
}
