//! Where commands find the lake: the embedded endpoint of a home, started for one command or already served by another
//! process, or a stack in an AWS account.
//!
//! A home has one owner. A command that finds one is its client; else it owns the home for as long as it takes. A
//! short-lived owner must not take the workflows of its clients with it when it ends, so commands that run
//! workflows take turns on a lock of their own, and a client that only reads asks again when its owner has gone.

use std::convert::Infallible;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use lake::config::ConfigError;
use lake::{Config, Lake};
use local_aws::{Endpoint, HomeError, Options, Owner, SparkEngine, SparkSql, StartError};

use crate::args::{Engine, Global, Setting};
use crate::faults;
use crate::hint::{Hint, fail};
use crate::interrupt::{Interrupted, Listener};
use crate::progress::Progress;
use crate::stack;

/// What a command does with the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It runs workflows: functions act under the configuration of the process that owns the home.
    Workflows,
    /// It asks, and may ask again.
    Questions,
}

/// The configuration file that is read when none is named.
const DEFAULT_FILE: &str = "confs/pregao.toml";

/// The configuration: the file, and over it what `--set` says.
pub fn configuration(global: &Global) -> anyhow::Result<Config> {
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

/// What is said of a key that is not known: with the one that may have been meant, if any is like it.
fn unknown_key(key: &str) -> String {
    // Of five letters at least three are right.
    const LIKENESS: f64 = 0.6;
    let likeness = |known: &str| {
        // A key without its section, or a section alone, is like all of the key.
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

/// Runs `command` with a lake to talk to, and leaves the home as it found it: owned by the same process, or by none.
pub fn with_lake<F>(global: &Global, purpose: Use, command: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFn(&Lake) -> anyhow::Result<ExitCode>,
{
    with_lake_on(global, purpose, Engine::Embedded, command)
}

/// [`with_lake`] with a choice of what runs Spark steps.
pub fn with_lake_on<F>(global: &Global, purpose: Use, engine: Engine, command: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFn(&Lake) -> anyhow::Result<ExitCode>,
{
    let config = configuration(global)?;
    let chosen = spark_engine(engine)?;
    if is_on_aws(global, &config) {
        refuse_engine(engine)?;
        check_settings_reach_functions(global, purpose)?;
        return runtime()?.block_on(interruptible(async { command(&stack::lake(&config).await?).await }));
    }
    let options = Options { port: None, engine: chosen, faults: faults::of_environment()? };
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
            if purpose == Use::Questions && looks < LOOKS && result.as_ref().is_err_and(is_out_of_reach) {
                continue;
            }
            return result;
        }
        let runtime = runtime()?;
        let endpoint = match runtime.block_on(Endpoint::start(&global.home, config.clone(), options.clone())) {
            Ok(endpoint) => endpoint,
            // Somebody was quicker.
            Err(StartError::Home(HomeError::InUse { .. })) if looks < LOOKS => continue,
            Err(error) => return Err(error.into()),
        };
        tracing::debug!(url = endpoint.url(), "serving the home for this command");
        return runtime.block_on(async {
            let result = tokio::select! {
                // What came to an end is told as such, even if nothing more can be kept.
                biased;
                result = interruptible(command(endpoint.lake())) => result,
                broken = endpoint.breaks() => Err(broken.into()),
            };
            endpoint.shutdown().await;
            result
        });
    }
}

/// How often the owner of the home is looked at, and for how long it may say nothing before the user hears of it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_secs(5);

/// Says when the owner of the home stops to answer, and when it answers again. A command that waits for a stopped
/// process would else wait without a word.
async fn watch(owner: &Owner) -> Infallible {
    let mut is_silent = false;
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
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

/// Runs a command until it ends, or until it is interrupted where it does not listen for that itself.
async fn interruptible(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let listener = Listener::around();
    tokio::select! {
        biased;
        result = command => result,
        signal = listener.signal() => Err(Interrupted(signal).into()),
    }
}

/// `--engine` has no meaning for a stack in an account.
pub fn refuse_engine(engine: Engine) -> anyhow::Result<()> {
    if engine != Engine::Embedded {
        return fail("--engine is for runs on this machine", "leave it out: on EMR the job is Spark's");
    }
    Ok(())
}

/// What the endpoint is told to run Spark steps on.
pub fn spark_engine(engine: Engine) -> anyhow::Result<SparkEngine> {
    Ok(match engine {
        Engine::Embedded => SparkEngine::Embedded,
        Engine::Spark => SparkEngine::SparkSql(SparkSql::find()?),
    })
}

/// How often to look for an owner anew.
const LOOKS: u32 = 5;

/// The runtime of everything asynchronous.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the threads of the program")
}

/// Whether the endpoint has gone away, which is no fault of the question. What has been answered is not asked again.
fn is_out_of_reach(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(lake::Error::Unavailable { .. })))
}

/// Functions run in the owner's process, under the owner's configuration.
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

/// The functions of a stack run under the configuration that was deployed.
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

/// Whether this configuration means a stack in an AWS account.
pub fn is_on_aws(global: &Global, config: &Config) -> bool {
    global.aws || config.aws.always
}

/// Whether commands talk to a stack in an AWS account.
pub fn on_aws(global: &Global) -> anyhow::Result<bool> {
    Ok(is_on_aws(global, &configuration(global)?))
}

/// For commands that only make sense on this machine.
pub fn refuse_aws(global: &Global, command: &str) -> anyhow::Result<()> {
    if global.aws {
        return fail(format!("pregao {command} runs on this machine"), "leave --aws out");
    }
    Ok(())
}

/// Commands that run workflows in a home of their own take turns; questions are asked beside one another.
struct Turn(#[expect(dead_code, reason = "the lock is held while the file is open")] Option<File>);

impl Turn {
    /// Waits for the turn of a command that runs workflows. A question never waits.
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
            .map_err(|error| HomeError::of_writing(home, &path, error))?;
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
