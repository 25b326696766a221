//! Selects the endpoint of a command: the embedded endpoint of a home, started for the command or served by another process,
//! or a stack in an AWS account.
//!
//! A home has one owner, by an advisory lock. If there is an owner, a command becomes its client; otherwise it owns the home
//! while it runs. Workflows end with the owner's process. So commands that run workflows are serialized by a second lock, and
//! a client that only reads repeats its work if its owner has ended.

use std::convert::Infallible;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use lake::config::ConfigError;
use lake::{Config, Lake};
use local_aws::{Endpoint, HomeError, Landed, Options, Owner, SparkEngine, SparkSql, StartError};

use crate::args::{Engine, Global, Setting};
use crate::error_report::{Hint, fail};
use crate::faults;
use crate::interrupt::{Interrupted, Listener};
use crate::progress::Progress;
use crate::stack;

/// How a command uses the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It runs workflows. Functions use the configuration of the process that owns the home.
    Workflows,
    /// It only reads, and may be repeated.
    Questions,
}

/// The default configuration file.
const DEFAULT_FILE: &str = "confs/pregao.toml";

/// Loads the configuration: the file, overridden by `--set`.
pub(crate) fn configuration(global: &Global) -> anyhow::Result<Config> {
    let file = match &global.config {
        Some(file) => Some(file.as_path()),
        None => Some(Path::new(DEFAULT_FILE)).filter(|file| file.exists()),
    };
    let mut config = match file {
        Some(file) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read the configuration {}", file.display()))
                .hint("confs/pregao.template.toml is a commented one to start from")?;
            tracing::debug!(file = %file.display(), "read the configuration");
            Config::parse(&text).with_context(|| file.display().to_string())?
        }
        None => Config::default(),
    };
    for setting in &global.settings {
        let set = config.set(&setting.key, &setting.value).map_err(|error| match error {
            ConfigError::UnknownKey { key, .. } => anyhow::anyhow!(unknown_key(&key)),
            error => error.into(),
        });
        set.with_context(|| format!("--set {}={}", setting.key, setting.value))
            .hint("confs/pregao.template.toml lists all keys")?;
    }
    Ok(config)
}

/// Returns the message about an unknown key, with the most similar known key, if any.
fn unknown_key(key: &str) -> String {
    // At most two of five letters may differ.
    const LIKENESS: f64 = 0.6;
    let likeness = |known: &str| {
        // A key without its section, or a section alone, also counts as similar.
        let (section, name) = known.split_once('.').unwrap_or_default();
        let parts = if key.contains('.') { vec![known] } else { vec![section, name] };
        parts.into_iter().map(|part| strsim::normalized_damerau_levenshtein(part, key)).fold(0.0, f64::max)
    };
    let known = Config::keys();
    let nearest = known.iter().map(|known| (likeness(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((alike, nearest)) if alike >= LIKENESS => {
            format!("there is no configuration key {key:?}; did you mean {nearest:?}?")
        }
        _ => format!("there is no configuration key {key:?}"),
    }
}

/// Runs `command` with a lake. If it opened the embedded endpoint of the home, closes it afterwards.
pub(crate) fn with_lake<F>(global: &Global, purpose: Use, command: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFn(&Lake) -> anyhow::Result<ExitCode>,
{
    with_lake_on(global, purpose, Engine::Embedded, command)
}

/// [`with_lake`] with an engine for Spark steps.
pub(crate) fn with_lake_on<F>(global: &Global, purpose: Use, engine: Engine, command: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFn(&Lake) -> anyhow::Result<ExitCode>,
{
    let on_aws = on_aws(global)?;
    let chosen = spark_engine(engine)?;
    if on_aws {
        refuse_engine(engine)?;
    }
    with_options(global, purpose, engine, Options { engine: chosen, ..Options::default() }, command)
}

/// What the embedded endpoint of a command has in addition.
pub(crate) struct Embedded {
    /// What events start in the stack: the ingestion of landed objects, and the end of clusters of runs that ended without success.
    pub rules: bool,
    /// A fault plan, whose items come after those of the environment.
    pub faults: Option<String>,
}

/// [`with_lake`] with an embedded endpoint of another kind. Another process that serves the home is refused, because it lacks what
/// is asked for.
pub(crate) fn with_lake_in<F>(global: &Global, purpose: Use, embedded: Embedded, command: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFn(&Lake) -> anyhow::Result<ExitCode>,
{
    if let Some(owner) = Owner::find(&global.home)? {
        return fail(
            format!("another process serves {} at {}", global.home.display(), owner.url()),
            "end that process, or name another folder with --home",
        );
    }
    let options = Options {
        landed: if embedded.rules { Landed::Ingested } else { Landed::Stay },
        rules: embedded.rules,
        faults: faults::from_environment_and(embedded.faults.as_deref())?,
        ..Options::default()
    };
    with_options(global, purpose, Engine::Embedded, options, command)
}

fn with_options<F>(
    global: &Global,
    purpose: Use,
    engine: Engine,
    options: Options,
    command: F,
) -> anyhow::Result<ExitCode>
where
    F: AsyncFn(&Lake) -> anyhow::Result<ExitCode>,
{
    let config = configuration(global)?;
    if is_on_aws(global, &config) {
        check_settings_reach_functions(global, purpose)?;
        return runtime()?.block_on(interruptible(async { command(&stack::lake(&config).await?).await }));
    }
    let options = Options { faults: options.faults.or(faults::from_environment()?), ..options };
    let mut looks = 0;
    loop {
        looks += 1;
        let turn = Turn::take(&global.home, purpose)?;
        if let Some(owner) = Owner::find(&global.home)? {
            drop(turn);
            check_settings_reach(global, purpose, engine, &owner)?;
            if options.faults.is_some() {
                return does_not_reach(faults::VARIABLE, global, &owner);
            }
            tracing::debug!(url = owner.url(), "another process serves the home");
            let lake = Lake::at_endpoint(config.clone(), &owner.url());
            let result = runtime()?.block_on(async {
                tokio::select! {
                    biased;
                    result = interruptible(command(&lake)) => result,
                    never = watch(&owner) => match never {},
                }
            });
            if purpose == Use::Questions && looks < ATTEMPTS && result.as_ref().is_err_and(is_out_of_reach) {
                continue;
            }
            return result;
        }
        let runtime = runtime()?;
        let endpoint = match runtime.block_on(Endpoint::start(&global.home, config.clone(), options.clone())) {
            Ok(endpoint) => endpoint,
            // Another process has become the owner meanwhile.
            Err(StartError::Home(HomeError::InUse { .. })) if looks < ATTEMPTS => continue,
            Err(error) => return Err(error.into()),
        };
        tracing::debug!(url = endpoint.url(), "serving the home for this command");
        return runtime.block_on(async {
            let result = tokio::select! {
                // The command has succeeded: its result is reported even if the endpoint cannot be closed properly.
                biased;
                result = interruptible(command(endpoint.lake())) => result,
                failure = endpoint.storage_failed() => Err(failure.into()),
            };
            endpoint.shutdown().await;
            result
        });
    }
}

/// Interval of checks of the owner, and the time without a response after which the user is notified.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_secs(5);

/// Notifies the user when the owner of the home stops responding, and when it responds again. Otherwise a command would wait
/// silently for a stopped process.
async fn watch(owner: &Owner) -> Infallible {
    let mut is_silent = false;
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if owner.answers(SILENCE).await == is_silent {
            is_silent = !is_silent;
            let (pid, url) = (owner.pid(), owner.url());
            Progress::new().warning(&if is_silent {
                format!(
                    "waiting for the process that serves this home (pid {pid}, {url}), which does not answer; \
                     if it is stopped, kill -CONT {pid} lets it go on"
                )
            } else {
                format!("the process that serves this home (pid {pid}) answers again")
            });
        }
    }
}

/// Runs a command until it ends, or until an interrupt that it does not handle itself.
async fn interruptible(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let listener = Listener::around();
    tokio::select! {
        biased;
        result = command => result,
        signal = listener.signal() => Err(Interrupted(signal).into()),
    }
}

/// Refuses `--engine` for a stack in an AWS account.
pub(crate) fn refuse_engine(engine: Engine) -> anyhow::Result<()> {
    if engine != Engine::Embedded {
        return fail("--engine is for runs on this machine", "leave it out: on EMR the job is Spark's");
    }
    Ok(())
}

/// Returns the endpoint's engine for Spark steps.
pub(crate) fn spark_engine(engine: Engine) -> anyhow::Result<SparkEngine> {
    Ok(match engine {
        Engine::Embedded => SparkEngine::Embedded,
        Engine::Spark => SparkEngine::SparkSql(SparkSql::find()?),
    })
}

/// Maximum number of attempts to find or become the owner.
const ATTEMPTS: u32 = 5;

/// Creates the Tokio runtime.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the threads of the program")
}

/// Whether the endpoint could not be reached, so that the command may be repeated.
pub(crate) fn is_out_of_reach(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(lake::Error::Unavailable { .. })))
}

/// Refuses settings that would have no effect: functions run in the owner's process, with the owner's configuration.
fn check_settings_reach(global: &Global, purpose: Use, engine: Engine, owner: &Owner) -> anyhow::Result<()> {
    let said = if engine != Engine::Embedded {
        "--engine"
    } else if !global.settings.is_empty() {
        "--set"
    } else if global.config.is_some() {
        "--config"
    } else {
        return Ok(());
    };
    if purpose == Use::Questions {
        return Ok(());
    }
    does_not_reach(said, global, owner)
}

fn does_not_reach<T>(said: &str, global: &Global, owner: &Owner) -> anyhow::Result<T> {
    fail(
        format!("{said} does not reach the process that serves {} at {}", global.home.display(), owner.url()),
        format!("end that process, or start it with {said} itself"),
    )
}

/// Refuses settings that would have no effect: the functions of a stack use the deployed configuration.
fn check_settings_reach_functions(global: &Global, purpose: Use) -> anyhow::Result<()> {
    let deployed = |setting: &&Setting| !setting.key.starts_with("aws.");
    match global.settings.iter().find(deployed) {
        Some(setting) if purpose == Use::Workflows => fail(
            format!("--set {} does not reach the functions that are deployed", setting.key),
            "put it into confs/pregao.toml, and pregao deploy",
        ),
        _ => Ok(()),
    }
}

/// Whether this configuration selects a stack in an AWS account.
pub(crate) fn is_on_aws(global: &Global, config: &Config) -> bool {
    global.aws || config.aws.always
}

/// Whether commands use a stack in an AWS account.
pub(crate) fn on_aws(global: &Global) -> anyhow::Result<bool> {
    Ok(is_on_aws(global, &configuration(global)?))
}

/// Refuses a command that only works on this machine.
pub(crate) fn refuse_aws(global: &Global, command: &str) -> anyhow::Result<()> {
    if global.aws {
        return fail(format!("pregao {command} runs on this machine"), "leave --aws out");
    }
    Ok(())
}

/// The lock that serializes commands that run workflows in a home. Reading commands do not take it.
struct Turn(#[expect(dead_code, reason = "the lock is held while the file is open")] Option<File>);

impl Turn {
    /// Waits for the lock, if the command runs workflows.
    fn take(home: &Path, purpose: Use) -> anyhow::Result<Turn> {
        fs::create_dir_all(home)
            .with_context(|| format!("cannot create {}", home.display()))
            .hint("choose a folder that can be written with --home")?;
        let path = home.join("turn");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| HomeError::from_write_error(home, &path, error))?;
        let taken = match purpose {
            Use::Questions => lock.try_lock_shared(),
            Use::Workflows => lock.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Turn(Some(lock))),
            Err(TryLockError::WouldBlock) if purpose == Use::Questions => Ok(Turn(None)),
            Err(TryLockError::WouldBlock) => {
                Progress::new().line(&format!("waiting for another command on {} to end", home.display()));
                lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
                Ok(Turn(Some(lock)))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_that_is_like_another_is_taken_for_it() {
        for (key, nearest) in [
            ("quality.max_rejects_share", Some("quality.max_reject_share")),
            ("max_reject_share", Some("quality.max_reject_share")),
            ("emr.spots", Some("emr.spot")),
            ("foo", None),
            ("x", None),
            ("", None),
            ("something.else_altogether", None),
        ] {
            let said = unknown_key(key);
            match nearest {
                Some(nearest) => assert!(said.ends_with(&format!("did you mean {nearest:?}?")), "{said}"),
                None => assert!(!said.contains("did you mean"), "{said}"),
            }
        }
    }
}
