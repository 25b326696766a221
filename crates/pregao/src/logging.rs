//! The log, for diagnosis: events and spans of [`tracing`]. Off by default; written to stderr.

use std::env;
use std::io;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Global;
use crate::error_report::Hint;
use crate::progress;

/// The environment variable with the log filter, a list of `TARGET=LEVEL`.
pub(crate) const VARIABLE: &str = "PREGAO_LOG";

/// The crates of this project, which are log targets.
const OURS: [&str; 16] = [
    "pregao",
    "lake",
    "lake_client",
    "explorer",
    "local_aws",
    "local_athena",
    "asl",
    "etl",
    "ingest",
    "launch_emr_step",
    "poll_step",
    "stop_emr_step",
    "transform",
    "vacuum",
    "create_athena_table",
    "validate_partitions",
];

/// The AWS SDK, without the parts that log each byte.
const SDK: [&str; 4] = ["aws_config", "aws_runtime", "aws_smithy_runtime", "aws_smithy_runtime_api"];

/// Initialises the log by `PREGAO_LOG` and `--verbose`.
pub(crate) fn start(global: &Global, with_faults: bool) -> anyhow::Result<()> {
    let directives = env::var(VARIABLE).unwrap_or_default();
    let targets = targets(&directives, global.verbose)
        .map(|targets| if with_faults { with_each_fault(targets) } else { targets })
        .map_err(|error| anyhow::anyhow!("{VARIABLE}={directives} cannot be read: {error}"))
        .hint("write it as debug, or as pregao=debug,lake=trace; levels are error, warn, info, debug, trace, off")?;
    if targets.iter().all(|(_, level)| level == LevelFilter::OFF)
        && targets.default_level().is_none_or(|l| l == LevelFilter::OFF)
    {
        return Ok(());
    }
    // Log lines would break progress bars.
    progress::without_live_lines();
    // A line when a span closes has the time that it took.
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_span_events(FmtSpan::CLOSE);
    tracing_subscriber::registry().with(lines).with(targets).init();
    Ok(())
}

/// Injected faults are always logged.
fn with_each_fault(targets: Targets) -> Targets {
    const FAULTS: &str = "local_aws::faults";
    if targets.would_enable(FAULTS, &Level::WARN) { targets } else { targets.with_target(FAULTS, LevelFilter::WARN) }
}

fn targets(directives: &str, verbose: u8) -> Result<Targets, String> {
    let targets: Targets = match directives.trim() {
        "" => Targets::new(),
        directives => directives.parse().map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())?,
    };
    let ours = |level| OURS.map(|target| (target, level));
    Ok(match verbose {
        0 => targets,
        1 => targets.with_targets(ours(LevelFilter::DEBUG)),
        _ => {
            targets.with_targets(ours(LevelFilter::TRACE)).with_targets(SDK.map(|target| (target, LevelFilter::DEBUG)))
        }
    })
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn the_option_adds_to_the_variable() {
        let enabled = |directives: &str, verbose, target: &str, level: Level| {
            targets(directives, verbose).expect("directives").would_enable(target, &level)
        };
        assert!(!enabled("", 0, "pregao", Level::ERROR), "nothing is logged unless it is asked for");
        assert!(enabled("", 1, "pregao::endpoint", Level::DEBUG) && !enabled("", 1, "pregao", Level::TRACE));
        assert!(!enabled("", 1, "aws_runtime", Level::DEBUG) && enabled("", 2, "aws_runtime", Level::DEBUG));
        assert!(enabled("lake=trace", 0, "lake", Level::TRACE) && !enabled("lake=trace", 0, "pregao", Level::ERROR));
        assert!(enabled("info", 1, "hyper", Level::INFO) && enabled("info", 1, "lake", Level::DEBUG));
        assert_eq!(targets("warn", 0).map(|targets| targets.default_level()), Ok(Some(LevelFilter::WARN)));
        assert!(targets("pregao=loud", 0).is_err());
    }
}
