//! `pregao`: the command line of the lake.
//!
//! Every command speaks the AWS SDK to an endpoint and knows nothing else of where it runs: [`endpoint`] decides
//! whether that is the embedded one, started for this one command, the one of another process, or a stack in an AWS
//! account. Results go to the standard output, progress and errors to the standard error.

mod args;
mod commands;
mod coverage;
mod endpoint;
mod folder;
mod follow;
mod hint;
mod human;
mod known;
mod progress;
mod rows;
mod sample;
mod stack;
mod workflow;

use std::io::ErrorKind;
use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use commands::{
    cluster, demo, deploy, destroy, etl, explore, local, query, run, runs, sample as sample_command, upload,
};

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let result = match command {
        Command::Demo => demo::demo(&global),
        Command::Sample(args) => sample_command::sample(&global, &args),
        Command::Upload(args) => upload::upload(&global, &args),
        Command::Run(args) => run::run(&global, &args),
        Command::Runs(args) => runs::runs(&global, &args),
        Command::Query(args) => query::query(&global, &args),
        Command::Etl(args) => etl::etl(&args),
        Command::Explore(args) => explore::explore(&global, &args),
        Command::Local(args) => local::local(&global, &args),
        Command::Deploy => deploy::deploy(&global),
        Command::Destroy(args) => destroy::destroy(&global, &args),
        Command::Cluster(args) => cluster::cluster(&global, args.action),
    };
    result.unwrap_or_else(|error| {
        // The reader of our output has seen enough (`pregao query ... | head`): that is no failure.
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprint!("{}", hint::report(&error));
        ExitCode::FAILURE
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == ErrorKind::BrokenPipe)
}
