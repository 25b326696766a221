//! `pregao destroy`: removes the stack, and keeps data that cannot be recreated.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_cloudformation::client::Waiters;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use lake::config::BucketName;
use lake::{Error, Lake, cluster, keys, objects};

use crate::args::{DestroyArgs, Global};
use crate::commands::cluster as clusters;
use crate::endpoint::{configuration, runtime};
use crate::error_report::{Hint, fail};
use crate::format;
use crate::progress::Progress;
use crate::stack::{self, Account};

/// Timeout of the deletion. Roles and rules take longest.
const LONGEST: Duration = Duration::from_hours(1);

/// Terminates the clusters, empties the results bucket, and deletes the stack.
pub(crate) fn destroy(global: &Global, args: &DestroyArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    runtime()?.block_on(async {
        let account = Account::load(&config).await?;
        let lake = stack::lake(&config).await?;
        let buckets = &lake.config.buckets;
        writeln!(
            io::stdout(),
            "This removes the stack {} from {}: its functions, workflows, schedule and alarms, its clusters, the database {} \
             (the tables' definitions), and {} with all results of queries and logs.\n\
             It keeps {} and {}: every raw file, and every table's Parquet files. Their names stay taken: another stack \
             needs other buckets, and takes the raw files in when they are copied to its landing/.",
            account.stack_name,
            account.region,
            lake.config.athena.database,
            keys::uri(&buckets.results, ""),
            keys::uri(&buckets.raw, ""),
            keys::uri(&buckets.lake, ""),
        )?;
        if !args.yes {
            confirm(&account.stack_name)?;
        }
        let progress = Progress::new();
        clusters::end(&lake, &cluster::list_alive(&lake).await?).await?;
        let emptied = empty(&lake, &buckets.results).await?;
        progress.line(&format!("removed {} of {}", format::counted(emptied as u64, "object"), keys::uri(&buckets.results, "")));
        progress.line(&format!("removing the stack {}", account.stack_name));
        remove(&account).await?;
        writeln!(io::stdout(), "removed the stack {}", account.stack_name)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Asks the user to confirm by typing the name of the stack.
fn confirm(stack: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        return fail("nobody is there to be asked", "pregao destroy --yes does not ask");
    }
    write!(io::stdout(), "Type the name of the stack to go on: ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == stack { Ok(()) } else { fail("nothing was removed", format!("type {stack} to remove it")) }
}

/// Deletes all objects of a bucket, because CloudFormation deletes only empty buckets.
async fn empty(lake: &Lake, bucket: &BucketName) -> anyhow::Result<usize> {
    let objects = objects::list(lake, bucket, "").await?;
    // A thousand is the maximum of S3.
    for some in objects.chunks(1_000) {
        let ids: Result<Vec<ObjectIdentifier>, _> =
            some.iter().map(|object| ObjectIdentifier::builder().key(&object.key).build()).collect();
        let delete = Delete::builder().set_objects(Some(ids?)).quiet(true).build()?;
        let request = lake.s3.delete_objects().bucket(bucket.as_str()).delete(delete);
        let done = request.send().await.map_err(Error::aws(format!("emptying {}", keys::uri(bucket, ""))))?;
        if let Some(error) = done.errors().first() {
            let (key, why) = (error.key().unwrap_or_default(), error.message().unwrap_or_default());
            return fail(format!("{} was not removed: {why}", keys::uri(bucket, key)), "run pregao destroy again");
        }
    }
    Ok(objects.len())
}

async fn remove(account: &Account) -> anyhow::Result<()> {
    let Account { cloudformation, stack_name, .. } = account;
    let delete = cloudformation.delete_stack().stack_name(stack_name).send().await;
    delete.map_err(Error::aws(format!("removing the stack {stack_name}")))?;
    let removed = cloudformation.wait_until_stack_delete_complete().stack_name(stack_name).wait(LONGEST).await;
    removed
        .map(drop)
        .with_context(|| format!("the stack {stack_name} was not removed"))
        .hint("its events in the CloudFormation console say what stands in the way; then run pregao destroy again")
}
