//! `pregao completions`: completion scripts for shells.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell as ClapShell, generate};

use crate::args::{Cli, Shell};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let shell = match shell {
        Shell::Bash => ClapShell::Bash,
        Shell::Zsh => ClapShell::Zsh,
        Shell::Fish => ClapShell::Fish,
    };
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "pregao", &mut text);
    // Generated in memory, because `generate` panics if it writes to a closed pipe.
    io::Write::write_all(&mut io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}
