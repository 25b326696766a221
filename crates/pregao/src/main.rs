//! `pregao`: the command line of the lake.
//!
//! Every command speaks the AWS SDK to an endpoint and knows nothing else of where it runs: [`endpoint`] decides
//! whether that is the embedded one, started for this one command, the one of another process, or a stack in an AWS
//! account. Results go to the standard output, progress and errors to the standard error.

mod args;
mod color;
mod commands;
mod coverage;
mod endpoint;
mod faults;
mod folder;
mod follow;
#[cfg(test)]
mod generated;
mod hint;
mod human;
mod interrupt;
mod known;
mod logging;
mod migrate;
mod operator;
mod output;
mod price;
mod progress;
mod reference;
mod rows;
mod sample;
mod stack;
mod verify;
mod workflow;

use std::env;
use std::io::ErrorKind;
use std::process::ExitCode;

use args::{Cli, Command};
use clap::CommandFactory;
use commands::{
    cluster, completions, demo, deploy, destroy, diff, etl, explore, files, history, local, man, query, recatalog,
    rollback, run, runs, sample as sample_command, status, upload, vacuum, verify as verify_command,
};
use interrupt::Interrupted;

fn main() -> ExitCode {
    let choice = color::set(color::asked(env::args_os()));
    let matches = Cli::command().color(choice).get_matches();
    let cli = Cli::of(&matches).unwrap_or_else(|error| error.exit());
    let is_json = cli.command.is_json();
    run_command(cli).unwrap_or_else(|error| failed(&error, is_json))
}

fn run_command(Cli { global, command }: Cli) -> anyhow::Result<ExitCode> {
    if global.quiet {
        progress::be_quiet();
    }
    logging::start(&global, faults::are_planned(&command))?;
    interrupt::start()?;
    tracing::debug!(version = args::VERSION, ?command, "started");
    match command {
        Command::Demo => demo::demo(&global),
        Command::Sample(args) => sample_command::sample(&global, &args),
        Command::Upload(args) => upload::upload(&global, &args),
        Command::Run(args) => run::run(&global, &args),
        Command::Status(args) => status::status(&global, &args),
        Command::Verify(args) => verify_command::verify(&global, &args),
        Command::Vacuum(args) => vacuum::vacuum(&global, &args),
        Command::Files(args) => files::files(&global, &args),
        Command::History(args) => history::history(&global, &args),
        Command::Rollback(args) => rollback::rollback(&global, &args),
        Command::Diff(args) => diff::diff(&global, &args),
        Command::Recatalog => recatalog::recatalog(&global),
        Command::Runs(args) => runs::runs(&global, &args),
        Command::Query(args) => query::query(&global, &args),
        Command::Etl(args) => etl::etl(&args),
        Command::Explore(args) => explore::explore(&global, &args),
        Command::Local(args) => local::local(&global, &args),
        Command::Deploy => deploy::deploy(&global),
        Command::Destroy(args) => destroy::destroy(&global, &args),
        Command::Cluster(args) => cluster::cluster(&global, args.action),
        Command::Completions(args) => completions::completions(args.shell),
        Command::Man(args) => man::man(&args),
    }
}

/// Prints an error. Returns the exit code for it.
fn failed(error: &anyhow::Error, is_json: bool) -> ExitCode {
    // The reader of our output has seen enough (`pregao query ... | head`): that is no failure.
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // Where the document of the failure cannot be written either, the failure itself says why.
    if is_json && let Err(unwritten) = output::print_failure(error) {
        tracing::debug!(%unwritten, "no document was written");
    }
    if let Some(Interrupted(signal)) = error.chain().find_map(|cause| cause.downcast_ref()) {
        return ExitCode::from(signal.exit_code());
    }
    eprint!("{}", hint::report(error));
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == ErrorKind::BrokenPipe)
}
