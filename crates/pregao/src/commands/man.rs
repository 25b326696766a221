//! `pregao man`: prints or writes the manual pages.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::Resettable;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::{Cli, ManArgs};
use crate::error_report::Hint;
use crate::reference::{ENVIRONMENT, EXIT_CODES};

/// Prints pregao(1), or writes it and a page for each command to a folder.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let Some(folder) = &args.out else {
        io::stdout().lock().write_all(&page(&cli)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let folder_named = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(folder).with_context(folder_named).hint("choose another folder with --out")?;
    let mut pages = 0;
    let mut left = vec![&cli];
    while let Some(command) = left.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        fs::write(folder.join(format!("{name}.1")), page(command)?).with_context(folder_named)?;
        pages += 1;
        left.extend(command.get_subcommands());
    }
    writeln!(io::stdout(), "wrote {} to {}", crate::format::counted(pages, "manual page"), folder.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the page of a command: clap's sections, and those that all pages share.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // Without the examples, whose line breaks the page would lose.
    let without = command.clone().after_help(Resettable::Reset);
    Man::new(without).manual("pregao").render(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for example in examples.lines().skip(1) {
        roff.text([roman(example.trim())]);
    }
    roff.control("fi", []);
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        roff.control("TP", []).text([bold(*code)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (variable, meaning) in ENVIRONMENT {
        roff.control("TP", []).text([bold(*variable)]).text([roman(*meaning)]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}
