//! `pregao destroy`: removes the stack, and keeps data that cannot be recreated.
//!
//! Order: nothing may start a run, then nothing may run, then the bucket of logs and results is emptied, then the stack is
//! deleted. A cluster writes logs until it has terminated, and CloudFormation deletes only an empty bucket.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_cloudformation::client::Waiters;
use aws_sdk_cloudformation::types::{ResourceStatus, StackResource};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_sdk_scheduler::types::ScheduleState;
use lake::config::{BucketName, Config};
use lake::workflow::{self, Workflow};
use lake::{Error, Lake, backoff, cluster, job_run, keys, objects};

use crate::args::{DestroyArgs, Global};
use crate::commands::cluster as clusters;
use crate::endpoint::{configuration, runtime};
use crate::error_report::{Hint, fail};
use crate::format;
use crate::progress::Progress;
use crate::stack::{self, Account, Lifecycle};

/// Timeout of the deletion. Roles and rules take longest.
const LONGEST: Duration = Duration::from_hours(1);

/// Timeout of the termination of clusters. It takes a few minutes.
const LONGEST_TERMINATION: Duration = Duration::from_mins(30);

/// How often the stack is deleted, if the deletion fails.
const ATTEMPTS: u32 = 3;

/// Ends everything that runs, empties the results bucket, and deletes the stack.
pub(crate) fn destroy(global: &Global, args: &DestroyArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    runtime()?.block_on(async {
        let account = Account::load(&config).await?;
        let stack = account.stack().await?;
        let progress = Progress::new();
        match Lifecycle::from(stack.as_ref()) {
            Lifecycle::InProgress => {
                let state = stack.as_ref().map_or("", stack::status);
                fail(
                    format!("the stack {} cannot be removed now: it is in the state {state}", account.stack_name),
                    "CloudFormation is changing it: run pregao destroy again when it has finished",
                )?;
            }
            Lifecycle::CreationFailed => {
                writeln!(
                    io::stdout(),
                    "This removes what is left of the stack {} in {}, whose creation failed.",
                    account.stack_name,
                    account.region
                )?;
                confirm(args, &account.stack_name)?;
                remove(&account, &Remains::load(&config, &account).await?, &progress).await?;
            }
            Lifecycle::DeletionFailed if stack.as_ref().is_some_and(|stack| stack::outputs(stack).is_empty()) => {
                writeln!(
                    io::stdout(),
                    "This removes what is left of the stack {} in {}, whose deletion failed. It keeps the buckets of raw \
                     files and tables.",
                    account.stack_name,
                    account.region
                )?;
                confirm(args, &account.stack_name)?;
                remove(&account, &Remains::load(&config, &account).await?, &progress).await?;
            }
            Lifecycle::Absent | Lifecycle::Complete | Lifecycle::DeletionFailed | Lifecycle::RollbackFailed => {
                let lake = stack::lake(&config).await?;
                explain(&account, &lake)?;
                confirm(args, &account.stack_name)?;
                disable_schedule(&account).await?;
                stop_executions(&lake, &progress).await?;
                terminate_clusters(&lake, &progress).await?;
                stop_application(&lake, &progress).await?;
                let results = Some(lake.config.buckets.results.clone());
                remove(&account, &Remains { lake, results }, &progress).await?;
            }
        }
        writeln!(io::stdout(), "removed the stack {}", account.stack_name)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn explain(account: &Account, lake: &Lake) -> io::Result<()> {
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
    )
}

/// Asks the user to confirm by typing the name of the stack.
fn confirm(args: &DestroyArgs, stack: &str) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return fail("nobody is there to be asked", "pregao destroy --yes does not ask");
    }
    write!(io::stdout(), "Type the name of the stack to go on: ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == stack { Ok(()) } else { fail("nothing was removed", format!("type {stack} to remove it")) }
}

/// Disables the schedule of `create_datalake`, which otherwise could start a cluster until CloudFormation deletes it.
async fn disable_schedule(account: &Account) -> anyhow::Result<()> {
    let scheduler = aws_sdk_scheduler::Client::new(&account.sdk);
    let name = format!("{}-{}", account.stack_name, Workflow::CreateDatalake.name());
    let schedule = match scheduler.get_schedule().name(&name).send().await {
        Ok(schedule) => schedule,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
            return Ok(());
        }
        Err(error) => return Err(Error::aws(format!("looking for the schedule {name}"))(error).into()),
    };
    // The request replaces the whole schedule.
    let disabled = scheduler
        .update_schedule()
        .name(&name)
        .state(ScheduleState::Disabled)
        .set_description(schedule.description)
        .set_schedule_expression(schedule.schedule_expression)
        .set_schedule_expression_timezone(schedule.schedule_expression_timezone)
        .set_flexible_time_window(schedule.flexible_time_window)
        .set_target(schedule.target)
        .send()
        .await;
    disabled.map(drop).map_err(|error| Error::aws(format!("disabling the schedule {name}"))(error).into())
}

async fn stop_executions(lake: &Lake, progress: &Progress) -> Result<(), Error> {
    let mut stopped = 0;
    for machine in workflow::machines(lake).await? {
        for execution in workflow::executions(lake, &machine, Some("RUNNING"), usize::MAX).await? {
            let arn = execution.execution_arn;
            let request =
                lake.sfn.stop_execution().execution_arn(&arn).error("Destroyed").cause("the stack is removed");
            request.send().await.map_err(Error::aws(format!("stopping the execution {arn}")))?;
            stopped += 1;
        }
    }
    if stopped > 0 {
        progress.line(&format!("stopped {}", format::counted(stopped, "execution")));
    }
    Ok(())
}

/// Terminates the clusters of the lake, and waits until they have ended.
async fn terminate_clusters(lake: &Lake, progress: &Progress) -> anyhow::Result<()> {
    clusters::end(lake, &cluster::list_alive(lake).await?).await?;
    let spinner = progress.spinner();
    let ended = backoff::poll_until(LONGEST_TERMINATION, || async {
        let left = cluster::list_not_terminated(lake).await?;
        spinner.set_message(format!("{} terminating", format::counted(left.len() as u64, "cluster")));
        Ok::<_, Error>(left.is_empty().then_some(()))
    });
    let ended = ended.await;
    spinner.finish_and_clear();
    match ended? {
        Some(()) => Ok(()),
        None => fail(
            "clusters of this lake have not terminated",
            "pregao --aws cluster status names them; then run pregao destroy again",
        ),
    }
}

/// Stops the application of EMR Serverless, and waits until it has stopped. CloudFormation deletes no other
/// (<https://github.com/gchq/sleeper/issues/1125>).
async fn stop_application(lake: &Lake, progress: &Progress) -> anyhow::Result<()> {
    let Some(application) = &lake.config.emr.application_id else { return Ok(()) };
    for job in job_run::list(lake, application, &job_run::UNDER_WAY).await? {
        job_run::cancel(lake, application, job.id()).await?;
    }
    progress.line(&format!("stopping the application {application} of EMR Serverless"));
    let stopped = backoff::poll_until(LONGEST_TERMINATION, || async {
        let stopped = job_run::stop_application(lake, application).await?;
        Ok::<_, Error>(stopped.then_some(()))
    });
    match stopped.await? {
        Some(()) => Ok(()),
        None => fail(
            format!("the application {application} of EMR Serverless has not stopped"),
            "its job runs in the console of EMR say why; then run pregao destroy again",
        ),
    }
}

/// What has to be empty before the stack can be deleted.
struct Remains {
    lake: Lake,
    results: Option<BucketName>,
}

impl Remains {
    /// Finds the results bucket of a stack without outputs.
    async fn load(config: &Config, account: &Account) -> anyhow::Result<Remains> {
        let lake = Lake::with_sdk(config.clone(), &account.sdk);
        let resources = resources(account).await?;
        let bucket = resources.iter().find(|resource| resource.logical_resource_id() == Some("ResultsBucket"));
        let bucket = bucket.filter(|bucket| bucket.resource_status() != Some(&ResourceStatus::DeleteComplete));
        let results = bucket
            .and_then(|bucket| bucket.physical_resource_id())
            .and_then(|name| BucketName::try_from(name.to_owned()).ok());
        Ok(Remains { lake, results })
    }
}

async fn resources(account: &Account) -> anyhow::Result<Vec<StackResource>> {
    let Account { cloudformation, stack_name, .. } = account;
    let described = cloudformation.describe_stack_resources().stack_name(stack_name).send().await;
    let described = described.map_err(Error::aws(format!("listing the resources of the stack {stack_name}")))?;
    Ok(described.stack_resources.unwrap_or_default())
}

/// Deletes all objects of a bucket, because CloudFormation deletes only empty buckets. Returns their number.
async fn empty(lake: &Lake, bucket: &BucketName) -> anyhow::Result<usize> {
    let objects = match objects::list(lake, bucket, "").await {
        // Deleted by an earlier attempt.
        Err(error) if error.name() == "NoSuchBucket" => return Ok(0),
        listed => listed?,
    };
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

/// Empties the results bucket and deletes the stack. Tries again if the deletion fails, because something may have been written
/// to the bucket meanwhile.
async fn remove(account: &Account, remains: &Remains, progress: &Progress) -> anyhow::Result<()> {
    let Account { cloudformation, stack_name, .. } = account;
    for attempt in 1.. {
        if let Some(results) = &remains.results {
            let emptied = empty(&remains.lake, results).await?;
            progress.line(&format!(
                "removed {} of {}",
                format::counted(emptied as u64, "object"),
                keys::uri(results, "")
            ));
        }
        progress.line(&format!("removing the stack {stack_name}"));
        let delete = cloudformation.delete_stack().stack_name(stack_name).send().await;
        delete.map_err(Error::aws(format!("removing the stack {stack_name}")))?;
        let removed = cloudformation.wait_until_stack_delete_complete().stack_name(stack_name).wait(LONGEST).await;
        let Err(error) = removed else { break };
        let stack = account.stack().await?;
        if Lifecycle::from(stack.as_ref()) != Lifecycle::DeletionFailed {
            return Err(error)
                .with_context(|| format!("the stack {stack_name} was not removed"))
                .hint("its events in the CloudFormation console say why; then run pregao destroy again");
        }
        let left = left(account).await?;
        if attempt == ATTEMPTS {
            return fail(
                format!("the stack {stack_name} was not removed: {left}"),
                "remove what is named, then run pregao destroy again",
            );
        }
        progress.line(&format!("CloudFormation could not remove all of it, trying again: {left}"));
    }
    Ok(())
}

/// Returns the resources that could not be deleted, with the reasons.
async fn left(account: &Account) -> anyhow::Result<String> {
    let resources = resources(account).await?;
    let failed = resources.iter().filter(|resource| resource.resource_status() == Some(&ResourceStatus::DeleteFailed));
    let named = failed.map(|resource| {
        let id = resource.logical_resource_id().unwrap_or_default();
        format!("{id} ({})", resource.resource_status_reason().unwrap_or("no reason"))
    });
    let named: Vec<String> = named.collect();
    let reason = account.stack().await?.and_then(|stack| stack.stack_status_reason);
    Ok(if named.is_empty() { reason.unwrap_or_else(|| "no reason".to_owned()) } else { named.join(", ") })
}
