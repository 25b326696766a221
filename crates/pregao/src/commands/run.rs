//! `pregao run`: raw files to published tables.

use std::io::{self, Write};
use std::process::ExitCode;

use lake::Lake;
use market::partition::DateRange;
use serde_json::{Value, json};

use crate::args::{Global, RunArgs};
use crate::endpoint::{Use, with_lake};
use crate::follow::{Ending, follow};
use crate::hint::Hint;
use crate::progress::Progress;
use crate::workflow::{self, Workflow};

/// Runs `create_datalake` and says what it published.
pub fn run(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let days = args
        .from
        .map(|from| DateRange::new(from, args.to.unwrap_or(from)))
        .transpose()
        .hint("pregao run --from FIRST --to LAST")?;
    with_lake(global, Use::Workflows, async |lake| publish(lake, days, &Progress::new()).await)
}

/// Starts the workflow for these days, or for the day before, and follows it to its end.
pub async fn publish(lake: &Lake, days: Option<DateRange>, progress: &Progress) -> anyhow::Result<ExitCode> {
    let (purpose, input) = match days {
        Some(days) if days.from() == days.to() => (days.from().to_string(), json!({ "date": days.from() })),
        Some(days) => (format!("{}_{}", days.from(), days.to()), json!(days)),
        None => ("day-before".to_owned(), json!({})),
    };
    let name = workflow::new_name(&purpose)?;
    progress.line(&format!("create_datalake {name}"));
    let arn = workflow::start(lake, Workflow::CreateDatalake, &name, &input).await?;
    match follow(lake, &arn, progress).await? {
        Ending::Succeeded(output) => {
            tell(&output)?;
            Ok(ExitCode::SUCCESS)
        }
        ending => workflow::not_succeeded(Workflow::CreateDatalake, &name, ending),
    }
}

fn tell(output: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{output}")
}
