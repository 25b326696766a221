//! `pregao local`: serves the embedded endpoint to other clients.

use std::io::{self, Write};
use std::process::ExitCode;

use lake::{Config, LOCAL_REGION};
use local_aws::{Endpoint, Landed, Options, state_machine_arn};

use crate::args::{Global, LocalArgs};
use crate::endpoint::{configuration, refuse_aws, runtime, spark_engine};
use crate::faults;
use crate::interrupt::Listener;

/// Serves until it is interrupted.
pub(crate) fn local(global: &Global, args: &LocalArgs) -> anyhow::Result<ExitCode> {
    refuse_aws(global, "local")?;
    let config = configuration(global)?;
    let faults = match &args.faults {
        Some(plan) => Some(plan.clone().with_seed(args.seed)),
        None => faults::from_environment()?,
    };
    let engine = spark_engine(args.engine)?;
    let landed = if args.keep_landed { Landed::Stay } else { Landed::Processed };
    let options = Options { port: args.port, engine, faults, landed, ..Options::default() };
    runtime()?.block_on(async {
        let endpoint = Endpoint::start(&global.home, config.clone(), options).await?;
        // A signal is the normal end.
        let signals = Listener::new();
        let served = async {
            introduce(&endpoint.url(), &config)?;
            tokio::select! {
                _ = signals.signal() => Ok(()),
                failure = endpoint.storage_failed() => Err(failure.into()),
            }
        };
        let result: anyhow::Result<()> = served.await;
        endpoint.shutdown().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}

/// Prints the address: the first line for scripts, the others to paste into a shell.
fn introduce(url: &str, config: &Config) -> io::Result<()> {
    let results = &config.buckets.results;
    let machine = state_machine_arn("create_datalake");
    let mut out = io::stdout().lock();
    write!(
        out,
        "AWS_ENDPOINT_URL={url}\n\
         \n\
         # For the AWS CLI, boto3 and every other AWS SDK:\n\
         export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={LOCAL_REGION} \
         AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local\n\
         \n\
         aws s3 ls --recursive s3://{lake}/\n\
         aws stepfunctions list-executions --state-machine-arn {machine}\n\
         aws stepfunctions start-execution --state-machine-arn {machine} --input '{{\"date\": \"2020-04-01\"}}'\n\
         aws athena start-query-execution --query-string 'SELECT count(*) FROM quotes' \
         --query-execution-context Database={database} --result-configuration OutputLocation=s3://{results}/athena/\n\
         \n\
         # Ctrl-C ends it.\n",
        lake = config.buckets.lake,
        database = config.athena.database,
    )?;
    out.flush()
}
