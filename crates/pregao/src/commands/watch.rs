//! `pregao watch`: uploads the snapshots that a recorder saves into a folder.
//!
//! Events of the file system say which files have changed. They may be lost, and some file systems send none, so the folder is also
//! read every [`RESCAN`]. A file is uploaded when it is complete: see [`Settling`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use lake::{Config, Lake};
use local_aws::{Endpoint, HomeError, Landed, Options, Owner, StartError};
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::args::{Global, WatchArgs};
use crate::commands::upload;
use crate::endpoint::{configuration, is_on_aws, is_out_of_reach, runtime};
use crate::error_report::{Hint, report};
use crate::faults;
use crate::format;
use crate::interrupt::{Interrupted, Listener};
use crate::progress::Progress;
use crate::raw_folder::{self, File};
use crate::settling::{Settled, Settling};
use crate::stack;

/// Interval of reads of the whole folder.
const RESCAN: Duration = Duration::from_secs(30);

/// Delay before a failed upload is repeated: the first one, and the longest.
const MIN_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_mins(5);

/// What a notification says.
enum Change {
    /// A file may have changed.
    File(PathBuf),
    /// Notifications were lost.
    Unknown,
}

/// The watched folder.
struct Watched {
    folder: PathBuf,
    changes: UnboundedReceiver<Change>,
    settling: Settling,
    /// Interval of looks for complete files.
    look: Duration,
    progress: Progress,
}

/// How the upload to an endpoint ended.
enum Ended {
    /// By a signal.
    Interrupted,
    /// The process that served the home has ended.
    Unreachable,
}

/// Uploads complete snapshots of a folder until it is interrupted, to the lake of the account, of another process, or of the home,
/// which it then serves.
pub(crate) fn watch(global: &Global, args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    // Fails now and not at the first event.
    raw_folder::read(&args.folder)?;
    let (sender, changes) = unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let found = match event {
            Ok(event) if event.need_rescan() => vec![Change::Unknown],
            Ok(event) => event.paths.into_iter().map(Change::File).collect(),
            Err(_) => vec![Change::Unknown],
        };
        for change in found {
            // The receiver is gone when the command ends.
            let _ = sender.send(change);
        }
    })
    .context("cannot watch files")?;
    watcher
        .watch(&args.folder, RecursiveMode::Recursive)
        .with_context(|| format!("cannot watch the folder {}", args.folder.display()))
        .hint("on Linux, fs.inotify.max_user_watches limits the number of folders")?;
    let look = (args.settle / 4).clamp(Duration::from_millis(20), Duration::from_secs(1));
    let (folder, settling) = (args.folder.clone(), Settling::new(args.settle));
    let watched = Watched { folder, changes, settling, look, progress: Progress::new() };
    runtime()?.block_on(serve(global, config, watched)).map(|()| ExitCode::SUCCESS)
}

async fn serve(global: &Global, config: Config, mut watched: Watched) -> anyhow::Result<()> {
    let signals = Listener::new();
    watched.progress.line(&format!("watching {}. Ctrl-C ends it.", watched.folder.display()));
    if is_on_aws(global, &config) {
        let lake = stack::lake(&config).await?;
        while let Ended::Unreachable = watched.upload(&lake, false, &signals).await? {}
        return Ok(());
    }
    loop {
        if let Some(owner) = Owner::find(&global.home)? {
            let lake = Lake::at_endpoint(config.clone(), &owner.url());
            match watched.upload(&lake, true, &signals).await? {
                Ended::Interrupted => return Ok(()),
                Ended::Unreachable => continue,
            }
        }
        let options = Options { faults: faults::from_environment()?, landed: Landed::Processed, ..Options::default() };
        let endpoint = match Endpoint::start(&global.home, config.clone(), options).await {
            Ok(endpoint) => endpoint,
            // Another process has become the owner meanwhile.
            Err(StartError::Home(HomeError::InUse { .. })) => {
                sleep(MIN_DELAY).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let ended = tokio::select! {
            biased;
            ended = watched.upload(endpoint.lake(), false, &signals) => ended,
            failure = endpoint.storage_failed() => Err(failure.into()),
        };
        endpoint.shutdown().await;
        return ended.map(drop);
    }
}

impl Watched {
    /// Uploads what is complete until a signal. An upload that fails is repeated, unless the endpoint `may_end` and cannot be reached.
    ///
    /// # Errors
    /// If the folder cannot be read any more.
    async fn upload(&mut self, lake: &Lake, may_end: bool, signals: &Listener) -> anyhow::Result<Ended> {
        let mut looks = interval(self.look);
        let mut rescans = interval(RESCAN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        rescans.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut delay = MIN_DELAY;
        loop {
            tokio::select! {
                biased;
                _ = signals.signal() => return Ok(Ended::Interrupted),
                change = self.changes.recv() => match change {
                    Some(Change::File(path)) => self.settling.observe(&path, Instant::now()),
                    Some(Change::Unknown) => self.rescan()?,
                    None => anyhow::bail!("the notifications about changed files have ended"),
                },
                _ = rescans.tick() => self.rescan()?,
                _ = looks.tick() => {
                    let settled = self.settling.take(Instant::now());
                    if settled.is_empty() {
                        continue;
                    }
                    let delivered = tokio::select! {
                        biased;
                        delivered = self.deliver(lake, &settled) => delivered,
                        _ = signals.signal() => return Ok(Ended::Interrupted),
                    };
                    let Err(error) = delivered else {
                        delay = MIN_DELAY;
                        continue;
                    };
                    self.settling.put_back(&settled, Instant::now());
                    if error.chain().any(|cause| cause.is::<Interrupted>()) {
                        return Ok(Ended::Interrupted);
                    }
                    if may_end && is_out_of_reach(&error) {
                        return Ok(Ended::Unreachable);
                    }
                    self.progress.warning(&format!("{}repeating it in {}", report(&error), format::duration(delay)));
                    tokio::select! {
                        () = sleep(delay) => delay = (delay * 2).min(MAX_DELAY),
                        _ = signals.signal() => return Ok(Ended::Interrupted),
                    }
                }
            }
        }
    }

    /// Reads the whole folder.
    fn rescan(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let found = raw_folder::read(&self.folder)?;
        for file in &found.files {
            self.settling.observe(&file.path, now);
        }
        Ok(())
    }

    async fn deliver(&self, lake: &Lake, settled: &[Settled]) -> anyhow::Result<()> {
        let files: Vec<File> = settled.iter().map(|file| File { path: file.path.clone(), bytes: file.bytes }).collect();
        let delivered = upload::deliver(lake, &self.folder, &files, &self.progress).await?;
        delivered.print_text(lake)?;
        if let Some(refused) = delivered.refused() {
            self.progress.warning(&report(&refused));
        }
        Ok(())
    }
}
