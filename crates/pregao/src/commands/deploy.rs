//! `pregao deploy`: builds the functions for Lambda, and creates or updates the stack.
//!
//! It calls cargo-lambda and the AWS SAM CLI with the right arguments.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use lake::Config;

use crate::args::{DeployArgs, Global};
use crate::doctor::{self, CheckResult, Moment};
use crate::endpoint::{configuration, runtime};
use crate::error_report::{Hint, fail};
use crate::progress::Progress;
use crate::stack::{self, Account, Lifecycle};

/// Path of the template in a checkout of the project.
const TEMPLATE: &str = "infra/template.yaml";

/// Makes the SAM CLI expand the `Fn::ForEach` of the template. It fails without this option.
const LANGUAGE_EXTENSIONS: &str = "--language-extensions";

/// Output folder of `sam build`.
const BUILT: &str = "target/sam";

/// The required tools, and how to install them.
const INSTALL: &str = "pip install aws-sam-cli cargo-lambda";

/// Builds and deploys with the configuration.
pub(crate) fn deploy(global: &Global, args: &DeployArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    let template = template()?;
    check_tool("cargo-lambda", &["lambda", "--version"])?;
    // Before the build, which takes minutes.
    let is_first = runtime()?.block_on(is_first(&config))?;
    if !args.skip_checks {
        runtime()?.block_on(check(&config))?;
    }
    let sam = |steps: &[String]| run("sam", steps);

    let progress = Progress::new();
    progress.line("sam build: the functions, by cargo lambda");
    sam(&build(&config, &template))?;
    progress.line(&format!("sam deploy: the stack {}", config.aws.stack));
    sam(&send(&config, is_first))?;

    runtime()?.block_on(async {
        let account = Account::load(&config).await?;
        let stack = account.stack().await?.context("the stack that was deployed is not there")?;
        let mut out = io::stdout().lock();
        writeln!(out, "deployed the stack {} in {}", account.stack_name, account.region)?;
        for (name, value) in stack::outputs(&stack) {
            writeln!(out, "  {name:<20} {value}")?;
        }
        writeln!(
            out,
            "\nNext:\n  \
             pregao --aws upload DIR\n  \
             pregao --aws run --from DATE\n  \
             pregao --aws query \"SELECT count(*) FROM quotes WHERE year = 2020 AND month = 4 AND day = 1\""
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Checks the account, before anything is built or paid for.
async fn check(config: &Config) -> anyhow::Result<()> {
    let progress = Progress::new();
    progress.line("checking the account");
    let checks = doctor::account(config, Moment::BeforeDeployment).await;
    for check in &checks {
        let remedy = check.remedy.as_deref().unwrap_or_default();
        match check.result {
            CheckResult::Warning => progress.warning(&format!("{}: {}: {remedy}", check.name, check.found)),
            CheckResult::Unknown => progress.line(&format!("not checked: {}: {}", check.name, check.found)),
            CheckResult::Ok | CheckResult::Failed => {}
        }
    }
    let failures = doctor::failures(&checks);
    if failures.is_empty() {
        return Ok(());
    }
    fail(
        format!("the stack cannot be deployed, or its runs could not start:{failures}"),
        "correct these; pregao doctor --aws shows all checks, and pregao deploy --skip-checks deploys in spite of them",
    )
}

/// Whether there is no stack yet.
///
/// # Errors
/// An error with the way out if the stack is in a state in which it cannot be updated.
async fn is_first(config: &Config) -> anyhow::Result<bool> {
    let account = Account::load(config).await?;
    let stack = account.stack().await?;
    let hint = match Lifecycle::from(stack.as_ref()) {
        Lifecycle::Absent => return Ok(true),
        Lifecycle::Complete => return Ok(false),
        Lifecycle::InProgress => "CloudFormation is changing it: deploy again when it has finished".to_owned(),
        Lifecycle::CreationFailed => "its creation failed: pregao destroy removes it, then deploy again".to_owned(),
        Lifecycle::DeletionFailed => "its deletion failed: pregao destroy tries again, then deploy again".to_owned(),
        Lifecycle::RollbackFailed => format!(
            "the rollback of its last update failed: correct what its events in the CloudFormation console name, then \
             aws cloudformation continue-update-rollback --stack-name {} --region {}, then deploy again",
            account.stack_name, account.region
        ),
    };
    let state = stack.as_ref().map_or("", stack::status);
    fail(
        format!("the stack {} in {} cannot be updated: it is in the state {state}", account.stack_name, account.region),
        hint,
    )
}

fn template() -> anyhow::Result<PathBuf> {
    let template = PathBuf::from(TEMPLATE);
    if template.is_file() {
        return Ok(template);
    }
    fail(format!("there is no {TEMPLATE} here"), "run pregao deploy in the folder of the project's sources")
}

/// Returns the command `sam build`, which builds each function by its `BuildMethod`, cargo-lambda.
fn build(config: &Config, template: &Path) -> Vec<String> {
    let mut arguments =
        words(&["build", "--beta-features", LANGUAGE_EXTENSIONS, "--build-dir", BUILT, "--template-file"]);
    arguments.push(template.display().to_string());
    arguments.extend(common(config));
    arguments
}

/// Returns the command `sam deploy`, without prompts, which succeeds if there is nothing to change.
///
/// If the creation of a stack fails, it is deleted: a stack in the state `ROLLBACK_COMPLETE` cannot be updated
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html>).
fn send(config: &Config, is_first: bool) -> Vec<String> {
    let mut arguments = words(&["deploy", LANGUAGE_EXTENSIONS, "--template-file"]);
    arguments.push(format!("{BUILT}/template.yaml"));
    arguments.push("--stack-name".to_owned());
    arguments.push(config.aws.stack.to_string());
    arguments.extend(words(&[
        "--resolve-s3",
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
    ]));
    if is_first {
        arguments.extend(words(&["--on-failure", "DELETE"]));
    }
    arguments.extend(common(config));
    arguments
}

/// Returns the arguments that both commands share.
fn common(config: &Config) -> Vec<String> {
    let mut arguments = Vec::new();
    for (option, value) in [("--region", &config.aws.region), ("--profile", &config.aws.profile)] {
        if let Some(value) = value {
            arguments.extend([option.to_owned(), value.clone()]);
        }
    }
    arguments.push("--parameter-overrides".to_owned());
    arguments.extend(stack::parameters(config).into_iter().map(|(name, value)| format!("{name}={}", quoted(&value))));
    arguments
}

/// Quotes a parameter value for the SAM CLI, with quotes and backslashes escaped.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn check_tool(tool: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => fail(format!("{tool} is not installed"), INSTALL),
    }
}

/// Runs a tool to its end, with its output on the terminal.
fn run(tool: &str, arguments: &[String]) -> anyhow::Result<()> {
    let status = match Command::new(tool).args(arguments).stdin(Stdio::null()).status() {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => return fail(format!("{tool} is not installed"), INSTALL),
        Err(error) => return Err(error).with_context(|| format!("cannot run {tool}")),
    };
    if status.success() {
        return Ok(());
    }
    Err(anyhow::anyhow!("{tool} {} failed ({status})", arguments[0]))
        .hint("its reason is above; the same command tries again, and changes only what is not there yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_receive_the_region_and_the_template() {
        let mut config = Config::default();
        for (key, value) in [("aws.region", "sa-east-1"), ("aws.profile", "lake"), ("aws.stack", "acme")] {
            config.set(key, value).expect(key);
        }
        for arguments in [build(&config, Path::new(TEMPLATE)), send(&config, true)] {
            let line = arguments.join(" ");
            assert!(line.contains("--region sa-east-1 --profile lake --parameter-overrides Config=\"{}\""), "{line}");
            assert!(line.contains("Architecture=\"x86_64\""), "{line}");
            assert!(line.contains(" --language-extensions "), "{line}");
        }
        assert!(send(&config, true).join(" ").contains("--stack-name acme --resolve-s3"));
        assert!(!build(&Config::default(), Path::new(TEMPLATE)).contains(&"--region".to_owned()));
    }

    #[test]
    fn a_value_is_one_word_whatever_is_in_it() {
        assert_eq!(quoted(r#"{"a": "b\c"}"#), r#""{\"a\": \"b\\c\"}""#);
    }
}
