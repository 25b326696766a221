//! `pregao`: the command line of the lake.
//!
//! Commands use the AWS SDK with an endpoint. [`endpoint`] selects it: an embedded endpoint that is started for this command,
//! the endpoint of another process, or a stack in an AWS account. Results go to stdout, progress and errors to stderr.

mod args;
mod color;
mod commands;
mod coverage;
mod dedup;
mod doctor;
mod endpoint;
mod error_report;
mod faults;
mod format;
#[cfg(test)]
mod generated;
mod interrupt;
mod logging;
mod migrate;
mod operator;
mod output;
mod own_home;
mod price;
mod progress;
mod raw_folder;
mod reference;
mod sent_files;
mod settling;
mod smoke;
mod stack;
mod tabular;
mod verify;
mod watch_execution;
mod workflow;

use std::env;
use std::io::ErrorKind;
use std::process::ExitCode;

use args::{Cli, Command};
use clap::CommandFactory;
use commands::{
    backfill, cluster, completions, demo, deploy, destroy, diff, doctor as doctor_command, etl, explore, files,
    history, local, man, query, recatalog, rollback, run, runs, sample as sample_command, smoke as smoke_command,
    status, upload, vacuum, verify as verify_command, watch,
};
use interrupt::Interrupted;

fn main() -> ExitCode {
    let choice = color::set(color::asked(env::args_os()));
    let matches = Cli::command().color(choice).get_matches();
    // Without a current folder, there is none above it either.
    let here = std::env::current_dir().unwrap_or_default();
    let cli = Cli::from_matches(&matches, std::env::var_os("PREGAO_HOME"), &here).unwrap_or_else(|error| error.exit());
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
        Command::Watch(args) => watch::watch(&global, &args),
        Command::Run(args) => run::run(&global, &args),
        Command::Backfill(args) => backfill::backfill(&global, &args),
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
        Command::Doctor(args) => doctor_command::doctor(&global, &args),
        Command::Smoke(args) => smoke_command::smoke(&global, &args),
        Command::Deploy(args) => deploy::deploy(&global, &args),
        Command::Destroy(args) => destroy::destroy(&global, &args),
        Command::Cluster(args) => cluster::cluster(&global, args.action),
        Command::Completions(args) => completions::completions(args.shell),
        Command::Man(args) => man::man(&args),
    }
}

/// Prints an error. Returns the exit code for it.
fn failed(error: &anyhow::Error, is_json: bool) -> ExitCode {
    // The reader of our output has closed the pipe (`pregao query ... | head`), which is not a failure.
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // If the document cannot be written either, the error itself is still printed below.
    if is_json && let Err(unwritten) = output::print_failure(error) {
        tracing::debug!(%unwritten, "no document was written");
    }
    if let Some(Interrupted(signal)) = error.chain().find_map(|cause| cause.downcast_ref()) {
        return ExitCode::from(signal.exit_code());
    }
    eprint!("{}", error_report::report(error));
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // Without the causes of a `lake::Error`: those are broken connections.
    error_report::causes(error)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == ErrorKind::BrokenPipe)
}
