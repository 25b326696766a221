//! `pregao smoke`: makes each promise of the documentation come true once, in the user's own stack or on the embedded endpoint, and
//! reports the evidence.
//!
//! It uses the commands' own code, and days of its own ([`files`]), which it removes at the end ([`clean`]).
//!
//! | module | content |
//! |---|---|
//! | [`claim`] | marks the days as those of `pregao smoke`, and refuses days with anything else |
//! | [`clean`] | removes what it made |
//! | [`files`] | the raw files, some with known numbers |
//! | [`runs`] | starts, follows, stops and redrives runs |
//! | [`step`] | the promises, their order, limits and costs |
//! | [`tables`] | digests, paths and rows of the tables, by Athena |
//! | [`verdict`] | whether a promise was kept, by what was found |

mod claim;
mod clean;
pub(crate) mod files;
mod runs;
mod step;
mod tables;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{NaiveDate, Utc};
use lake::engine::EngineChoice;
use lake::{Error, Lake, backoff, keys, objects, raw_files, record};
use lake_client::days::{Facts, judge};
use market::partition::DateRange;
use market::snapshot::SnapshotName;
use market::table::TableName;
use md5::{Digest as _, Md5};
use strum::VariantArray as _;

pub(crate) use step::{estimate, minutes};

use crate::args;
use crate::commands::upload;
use crate::dedup;
use crate::doctor::Check;
use crate::error_report;
use crate::format;
use crate::interrupt::Interrupted;
use crate::output::{Smoke, SmokeEvidence, SmokePromise, Timestamp, Verdict};
use crate::price;
use crate::progress::Progress;
use crate::workflow::{self, Workflow};
use claim::{Claim, Held};
use files::{Files, Folder, MARKET, NUMBERS};
use runs::Run;
use step::Step;
use tables::Digests;
use verdict::{Kept, Md5s, Records};

/// What the names of all runs of `pregao smoke` begin with.
pub(crate) const PREFIX: &str = "smoke-";

/// The part of the name of the run that is aborted. On the embedded endpoint, its first step is delayed.
pub(crate) const ABORTED: &str = "abort";

/// The time that all steps may take.
const HOUR: Duration = Duration::from_hours(1);

/// How the steps are made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// In an account, and not on the embedded endpoint.
    pub aws: bool,
    /// Whether clusters are started.
    pub with_emr: bool,
    /// The estimated cost in USD.
    pub estimated_usd: f64,
}

impl Settings {
    /// How long to wait for what a rule does. On the embedded endpoint it is done at once, or never.
    fn rule_limit(&self) -> Duration {
        if self.aws { Duration::from_mins(5) } else { Duration::from_secs(15) }
    }
}

/// Makes all steps, and returns the report.
///
/// # Errors
/// If the days cannot be used, or the user interrupts it. A promise that is not kept is not an error.
pub(crate) async fn run(
    lake: &Lake,
    settings: Settings,
    files: &Files,
    checks: &[Check],
    progress: &Progress,
) -> anyhow::Result<Smoke> {
    let machine = lake::workflow::machine(lake, Workflow::CreateDatalake).await?.arn;
    let claim = Claim::new(files::days().days().collect(), files.known());
    let held = claim::take(lake, claim, !settings.aws, progress).await?;
    let started = Utc::now();
    let mut smoke = Tester {
        lake,
        files,
        checks,
        progress,
        held: &held,
        begun: Instant::now(),
        settings,
        promises: Vec::new(),
        verdicts: BTreeMap::new(),
        evidence: Vec::new(),
        all_rows: Digests::default(),
        aborted: None,
        market_run: String::new(),
        failed_run: String::new(),
    };
    if held.is_taken_over() {
        let left = "what an earlier pregao smoke has left cannot be removed";
        clean::clean(lake, held.claim(), progress).await.context(left)?;
    }
    for step in Step::VARIANTS {
        smoke.step(*step).await?;
    }
    let Tester { promises, verdicts, begun, settings, .. } = smoke;
    if verdicts.get(&Step::CleanUp) == Some(&Verdict::Passed)
        && let Err(error) = held.release(lake).await
    {
        // The report is worth more: the next one removes the claim.
        progress.warning(&format!("the claim was not removed: {error}"));
    }
    let count = |verdict| promises.iter().filter(|promise| promise.verdict == verdict).count() as u64;
    let (region, account) = region_and_account(&machine);
    let mut report = Smoke {
        version: args::VERSION.to_owned(),
        aws: settings.aws,
        region: region.to_owned(),
        stack: settings.aws.then(|| lake.config.aws.stack.to_string()),
        account: account.to_owned(),
        started: started.into(),
        seconds: crate::output::seconds(begun.elapsed()),
        days: files::days().days().map(|day| day.to_string()).collect(),
        estimated_usd: price::rounded(settings.estimated_usd),
        usd: price::rounded(promises.iter().map(|promise| promise.usd).sum()),
        passed: count(Verdict::Passed),
        failed: count(Verdict::Failed),
        skipped: count(Verdict::Skipped),
        promises,
    };
    redact(&mut report, account);
    Ok(report)
}

/// Removes what an interrupted `pregao smoke` has left. Returns the number of removed objects; `None` if there is nothing.
///
/// # Errors
/// If another one still runs, or the days have foreign files or records.
pub(crate) async fn clean_up(lake: &Lake, aws: bool, progress: &Progress) -> anyhow::Result<Option<u64>> {
    if claim::read(lake).await?.is_none() {
        return Ok(None);
    }
    let held = claim::take(lake, Claim::new(Vec::new(), BTreeMap::new()), !aws, progress).await?;
    let removed = clean::clean(lake, held.claim(), progress).await?;
    held.release(lake).await?;
    Ok(Some(removed))
}

/// Returns region and account in the ARN of a state machine.
fn region_and_account(arn: &str) -> (&str, &str) {
    let mut parts = arn.split(':').skip(3);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Replaces the number of the account everywhere in the report, but for its last four digits.
fn redact(report: &mut Smoke, account: &str) {
    const SHOWN: usize = 4;
    if account.len() <= SHOWN {
        return;
    }
    let hidden = format!("{}{}", "*".repeat(account.len() - SHOWN), &account[account.len() - SHOWN..]);
    let redact = |text: &mut String| {
        if text.contains(account) {
            *text = text.replace(account, &hidden);
        }
    };
    redact(&mut report.account);
    report.stack.iter_mut().for_each(redact);
    for promise in &mut report.promises {
        promise.reason.iter_mut().for_each(redact);
        promise.evidence.iter_mut().for_each(|evidence| redact(&mut evidence.value));
    }
}

/// What the steps need and find.
struct Tester<'a> {
    lake: &'a Lake,
    files: &'a Files,
    checks: &'a [Check],
    progress: &'a Progress,
    held: &'a Held,
    begun: Instant,
    settings: Settings,
    promises: Vec<SmokePromise>,
    verdicts: BTreeMap<Step, Verdict>,
    /// Evidence of the current step.
    evidence: Vec<SmokeEvidence>,
    /// The rows of both days as the run by Lambda published them.
    all_rows: Digests,
    /// The run that was aborted.
    aborted: Option<Run>,
    /// The run that published the generated day last.
    market_run: String,
    /// The run whose audit failed.
    failed_run: String,
}

impl Tester<'_> {
    async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        self.held.check()?;
        let (started, begun) = (Utc::now(), Instant::now());
        self.evidence.clear();
        let (verdict, reason) = match self.why_skipped(step) {
            Some(why) => (Verdict::Skipped, Some(why)),
            None => {
                self.progress.line(&format!("{}: {}", step.name(), step.promise().0));
                match tokio::time::timeout(step.limit(), self.make(step)).await {
                    Ok(Ok(Ok(()))) => (Verdict::Passed, None),
                    Ok(Ok(Err(reason))) => (Verdict::Failed, Some(reason)),
                    Ok(Err(error)) if error.chain().any(|cause| cause.is::<Interrupted>()) => return Err(error),
                    Ok(Err(error)) => (Verdict::Failed, Some(error_report::message_and_hints(&error).0)),
                    Err(_) => {
                        (Verdict::Failed, Some(format!("it was not over after {}", format::duration(step.limit()))))
                    }
                }
            }
        };
        self.verdicts.insert(step, verdict);
        let (promise, document) = step.promise();
        let usd = if verdict == Verdict::Skipped { None } else { step.usd(&self.lake.config, self.files) };
        self.promises.push(SmokePromise {
            name: step.name().to_owned(),
            promise: promise.to_owned(),
            document: document.to_owned(),
            done: step.done(),
            verdict,
            reason,
            evidence: std::mem::take(&mut self.evidence),
            started: Timestamp::from(started),
            seconds: crate::output::seconds(begun.elapsed()),
            usd: price::rounded(usd.unwrap_or_default()),
        });
        Ok(())
    }

    fn why_skipped(&self, step: Step) -> Option<String> {
        if step.has_cluster() && !self.settings.with_emr {
            return Some("no clusters were to be started".to_owned());
        }
        let kept = |needed: &&Step| self.verdicts.get(needed) == Some(&Verdict::Passed);
        if let Some(needed) = step.needs().iter().find(|needed| !kept(needed)) {
            return Some(format!("it says nothing, because {} has not passed", needed.name()));
        }
        if step == Step::Redrive && self.aborted.is_none() {
            return Some("no run was aborted".to_owned());
        }
        // The removal is made in any case.
        let is_late = step != Step::CleanUp && self.begun.elapsed() + step.expected() > HOUR;
        is_late.then(|| "the hour is over".to_owned())
    }

    async fn make(&mut self, step: Step) -> anyhow::Result<Kept> {
        match step {
            Step::Doctor => Ok(self.doctor()),
            Step::Upload => self.upload().await,
            Step::LandingRule => self.landing_rule().await,
            Step::Lambda => self.lambda().await,
            Step::Numbers => self.numbers().await,
            Step::Emr => self.emr().await,
            Step::Abort => self.abort().await,
            Step::Redrive => self.redrive().await,
            Step::TwoRuns => self.two_runs().await,
            Step::FailedAudit => self.failed_audit().await,
            Step::Status => self.status().await,
            Step::CleanUp => self.clean_up().await,
        }
    }

    fn note(&mut self, name: impl Into<String>, value: impl ToString) {
        self.evidence.push(SmokeEvidence { name: name.into(), value: value.to_string() });
    }

    fn note_run(&mut self, run: &Run) {
        self.note("execution", &run.arn);
    }

    fn note_digests(&mut self, digests: &Digests) {
        for ((day, table), found) in &digests.tables {
            self.note(format!("{table} on {day}"), format!("{} rows, SHA-256 {}", found.rows, found.digest));
        }
        for query in &digests.queries {
            self.note("query", query);
        }
        self.note("scanned bytes", digests.scanned);
    }

    fn doctor(&mut self) -> Kept {
        for check in self.checks {
            self.note(&*check.name, format!("{}: {}", check.result.as_str(), check.found));
        }
        verdict::doctor(self.checks)
    }

    async fn upload(&mut self) -> anyhow::Result<Kept> {
        let folder = &self.files.market;
        let delivered = upload::deliver(self.lake, &folder.path, &folder.files, self.progress).await?;
        self.note("execution", workflow::find(self.lake, delivered.execution()).await?);
        if let Some(refused) = delivered.refused() {
            return Ok(Err(refused.to_string()));
        }
        self.compare(MARKET, folder).await
    }

    /// Compares the accepted raw files of a day with those of a folder, byte by byte.
    async fn compare(&mut self, day: NaiveDate, folder: &Folder) -> anyhow::Result<Kept> {
        let sent = md5s(folder)?;
        let bucket = &self.lake.config.buckets.raw;
        let (mut found, mut by_etag) = (Md5s::new(), 0);
        for file in raw_files::list(self.lake, DateRange::day(day)?).await? {
            let bytes = objects::get(self.lake, bucket, &file.object.key).await?;
            let md5 = hex::encode(Md5::digest(bytes.unwrap_or_default()));
            // With encryption by a key of KMS, the ETag is not the MD5.
            by_etag += u64::from(md5 == file.object.etag);
            found.insert(file.name.to_string(), md5);
        }
        self.note("files", format!("{} of {} in their place", found.len(), sent.len()));
        self.note("bytes", folder.bytes());
        self.note("ETag is the MD5", format!("of {by_etag} files"));
        let all: String = found.iter().map(|(name, md5)| format!("{name} {md5}\n")).collect();
        self.note("MD5 of names and MD5s", hex::encode(Md5::digest(all)));
        Ok(verdict::stored(&sent, &found))
    }

    async fn landing_rule(&mut self) -> anyhow::Result<Kept> {
        let lake = self.lake;
        let folder = &self.files.numbers;
        let bucket = &lake.config.buckets.raw;
        let (started, begun) = (Utc::now(), Instant::now());
        let mut landed = Vec::new();
        for file in &folder.files {
            let name = file.path.file_name().and_then(|name| name.to_str()).context("a file without a name")?;
            let bytes =
                tokio::fs::read(&file.path).await.with_context(|| format!("cannot read {}", file.path.display()))?;
            let key = keys::landing(name);
            objects::put(lake, bucket, &key, "text/csv", bytes).await?;
            landed.push(key);
        }
        let waiting = async || {
            let listed = objects::list(lake, bucket, keys::LANDING).await?;
            Ok::<_, Error>(listed.iter().filter(|object| landed.contains(&object.key)).count())
        };
        let limit = self.settings.rule_limit();
        backoff::poll_until(limit, || async { Ok::<_, Error>((waiting().await? == 0).then_some(())) }).await?;
        let (left, waited) = (waiting().await?, begun.elapsed());
        self.note("landed files", landed.len());
        self.note("ingested after", format::duration(waited));
        for machine in workflow::machines(lake).await? {
            if machine.workflow == Workflow::UploadRawData {
                let executions = workflow::executions(lake, &machine, None, landed.len()).await?;
                let since = started.timestamp_millis();
                let by_rule = executions
                    .iter()
                    .filter(|execution| lake_client::execution_history::millis(&execution.start_date) >= since);
                for execution in by_rule.take(2) {
                    self.note("execution by the rule, among others", &execution.execution_arn);
                }
            }
        }
        let kept = verdict::ingested(left, waited);
        if kept.is_err() {
            // The other steps do not depend on the rule.
            upload::deliver(lake, &folder.path, &folder.files, self.progress).await?;
            return Ok(kept);
        }
        self.compare(NUMBERS, folder).await
    }

    /// Runs days to the end. Returns the failure of a run that failed.
    async fn run(
        &mut self,
        purpose: &str,
        days: DateRange,
        engine: EngineChoice,
    ) -> anyhow::Result<Result<Run, String>> {
        let run = Run::start(self.lake, purpose, days, engine, self.progress).await?;
        self.note_run(&run);
        let begun = Instant::now();
        let failure = run.end(self.lake, self.progress).await?;
        self.note("run took", format::duration(begun.elapsed()));
        Ok(match failure {
            None => Ok(run),
            Some(failure) => Err(format!("run {} failed: {}: {}", run.name, failure.error, failure.cause)),
        })
    }

    async fn records(&self) -> Result<Records, Error> {
        let found = record::read_days(self.lake, files::days().days().collect()).await?;
        let run = |record: &record::Record| record.run().map(ToString::to_string).unwrap_or_default();
        Ok(found.iter().map(|(day, stored)| (*day, (stored.record.number, run(&stored.record)))).collect())
    }

    async fn digests(&mut self) -> Result<Digests, Error> {
        let digests = tables::digests(self.lake, &[MARKET, NUMBERS]).await?;
        self.note_digests(&digests);
        Ok(digests)
    }

    /// Whether both days are published as `run` wrote them, with the rows of the run by Lambda.
    async fn published_same(&mut self, run: &str, what: &str) -> anyhow::Result<Kept> {
        let records = self.records().await?;
        let digests = self.digests().await?;
        run.clone_into(&mut self.market_run);
        let kept = verdict::published(run, &[MARKET, NUMBERS], &records);
        Ok(kept.and_then(|()| verdict::same_rows(&self.all_rows, &digests, what)))
    }

    async fn lambda(&mut self) -> anyhow::Result<Kept> {
        let run = match self.run("lambda", files::days(), EngineChoice::Lambda).await? {
            Ok(run) => run,
            Err(failed) => return Ok(Err(failed)),
        };
        self.all_rows = self.digests().await?;
        let (quotes, options) = (&self.files.summary.quotes, &self.files.summary.options);
        let rejects = [quotes, options].map(|feed| feed.ragged + feed.unreadable_cells).iter().sum();
        let expected = [quotes.published, options.published, rejects];
        for (table, rows) in TableName::ALL.into_iter().zip(expected) {
            self.note(format!("generated rows of {table}"), rows);
        }
        self.market_run = run.name.to_string();
        let published = verdict::published(run.name.as_str(), &[MARKET, NUMBERS], &self.records().await?);
        Ok(verdict::row_counts(expected, &self.all_rows).and(published))
    }

    async fn numbers(&mut self) -> anyhow::Result<Kept> {
        let rows = tables::rows(self.lake, self.files.first).await?;
        self.note("query", &rows.query);
        for (ticker, cells, _) in files::QUOTES {
            self.note(format!("record of {ticker}"), cells.join(" "));
        }
        for (ticker, numbers) in &rows.rows {
            let numbers = match numbers {
                Ok(numbers) => files::PUBLISHED
                    .iter()
                    .zip(numbers)
                    .map(|(column, number)| format!("{column} {}", number.map_or("NULL".to_owned(), |n| n.to_string())))
                    .collect::<Vec<_>>()
                    .join(", "),
                Err(why) => why.clone(),
            };
            self.note(format!("row of {ticker}"), numbers);
        }
        Ok(verdict::numbers(&rows))
    }

    async fn emr(&mut self) -> anyhow::Result<Kept> {
        let run = match self.run("emr", files::days(), EngineChoice::Emr).await? {
            Ok(run) => run,
            Err(failed) => return Ok(Err(failed)),
        };
        match run.step(self.lake).await? {
            Some((cluster, _)) => self.note("cluster", cluster),
            None => return Ok(Err(format!("run {} has no step on a cluster", run.name))),
        }
        self.published_same(run.name.as_str(), "by EMR").await
    }

    async fn abort(&mut self) -> anyhow::Result<Kept> {
        let lake = self.lake;
        let (records, rows) = (self.records().await?, tables::digests(lake, &[MARKET, NUMBERS]).await?);
        let run = Run::start(lake, ABORTED, files::days(), EngineChoice::Emr, self.progress).await?;
        self.note_run(&run);
        let cluster = run.cluster(lake).await?;
        self.note("cluster", &cluster);
        clean::stop(lake, &run.arn).await?;
        let aborted = Instant::now();
        self.progress.line(&format!("aborted {}: waiting for the end of {cluster}", run.name));
        let kept = self.stopped(&run, aborted).await?;
        // The machines of two clusters may exceed the quota of the account.
        let ended = kept.is_ok() && self.settings.aws;
        if ended {
            let ended = backoff::poll_until(Duration::from_mins(15), || async {
                let found = run.step(lake).await?;
                let goes = |found: &verdict::Stopped| {
                    matches!(found, verdict::Stopped::Cluster(aws_sdk_emr::types::ClusterState::Terminating, _))
                };
                Ok::<_, Error>(found.is_none_or(|(_, state)| !goes(&state)).then_some(()))
            });
            ended.await?;
        }
        self.note("cluster ended after", format::duration(aborted.elapsed()));
        let after = self.digests().await?;
        let unchanged = verdict::unchanged((&records, &rows), (&self.records().await?, &after));
        self.aborted = Some(run);
        Ok(kept.and(unchanged))
    }

    /// Waits until the rule has stopped the cluster of an aborted run.
    async fn stopped(&mut self, run: &Run, aborted: Instant) -> anyhow::Result<Kept> {
        let kept = |found: Option<(String, verdict::Stopped)>| match found {
            Some((_, state)) => (verdict::stopped(&state, aborted.elapsed()), state.to_string()),
            None => (Err("its cluster is no longer listed".to_owned()), "none".to_owned()),
        };
        let lake = self.lake;
        let found = backoff::poll_until(self.settings.rule_limit(), || async {
            let (kept, state) = kept(run.step(lake).await?);
            Ok::<_, Error>(kept.is_ok().then_some((kept, state)))
        });
        let (kept, state) = match found.await? {
            Some(found) => found,
            None => kept(run.step(lake).await?),
        };
        self.note("state", state);
        self.note("stopped after", format::duration(aborted.elapsed()));
        Ok(kept)
    }

    async fn redrive(&mut self) -> anyhow::Result<Kept> {
        let Some(run) = self.aborted.take() else { return Ok(Err("no run was aborted".to_owned())) };
        self.note_run(&run);
        self.progress.line(&format!("redriving {}", run.name));
        let (redrives, failure) = run.redrive(self.lake).await?;
        self.note("redrives", redrives);
        if let Some(failure) = failure {
            return Ok(Err(format!("the redriven run failed: {}: {}", failure.error, failure.cause)));
        }
        self.published_same(run.name.as_str(), "after the redrive").await
    }

    async fn two_runs(&mut self) -> anyhow::Result<Kept> {
        let (lake, progress) = (self.lake, self.progress);
        let day = DateRange::day(MARKET)?;
        let start = |purpose: &'static str| Run::start(lake, purpose, day, EngineChoice::Lambda, progress);
        let (one, other) = tokio::try_join!(start("one"), start("other"))?;
        self.note_run(&one);
        self.note_run(&other);
        let failures = tokio::try_join!(one.end(lake, progress), other.end(lake, progress))?;
        let origins = tables::origins(lake, MARKET).await?;
        let published = self.records().await?.get(&MARKET).map(|(_, run)| run.clone()).unwrap_or_default();
        self.note("published run", &published);
        for (table, runs) in &origins.runs {
            self.note(format!("runs of the files of {table}"), runs.iter().cloned().collect::<Vec<_>>().join(" "));
        }
        for query in &origins.queries {
            self.note("query", query);
        }
        self.market_run.clone_from(&published);
        let digests = self.digests().await?;
        let runs = [one.name.as_str(), other.name.as_str()];
        let kept = verdict::one_of_two(runs, [failures.0.as_ref(), failures.1.as_ref()], &published, &origins);
        Ok(kept.and_then(|()| verdict::same_rows(&self.all_rows, &digests, "after two runs at once")))
    }

    async fn failed_audit(&mut self) -> anyhow::Result<Kept> {
        let lake = self.lake;
        let (records, rows) = (self.records().await?, tables::digests(lake, &[MARKET, NUMBERS]).await?);
        let folder = &self.files.unreadable;
        let delivered = upload::deliver(lake, &folder.path, &folder.files, self.progress).await?;
        if let Some(refused) = delivered.refused() {
            return Ok(Err(refused.to_string()));
        }
        let run = Run::start(lake, "unreadable", DateRange::day(NUMBERS)?, EngineChoice::Lambda, self.progress).await?;
        self.note_run(&run);
        let failure = run.end(lake, self.progress).await?;
        if let Some(failure) = &failure {
            self.note("error", &failure.error);
            self.note("cause", &failure.cause);
        }
        let after = self.digests().await?;
        let unchanged = verdict::unchanged((&records, &rows), (&self.records().await?, &after));
        self.failed_run = run.name.to_string();
        Ok(verdict::audit_failed(failure.as_ref()).and(unchanged))
    }

    async fn status(&mut self) -> anyhow::Result<Kept> {
        let facts = Facts::read(self.lake, Some(files::days())).await?;
        let found = judge(&self.lake.config, files::days(), &facts, Utc::now());
        for day in &found {
            let next =
                day.next.as_ref().map_or("nothing to do".to_owned(), |next| format!("next: {}", next.arguments()));
            self.note(day.day.to_string(), format!("{}, {next}", day.state.as_str()));
        }
        Ok(verdict::status(&found, &self.market_run, &self.failed_run))
    }

    async fn clean_up(&mut self) -> anyhow::Result<Kept> {
        let removed = clean::clean(self.lake, self.held.claim(), self.progress).await?;
        self.note("removed objects", removed);
        let left = clean::left(self.lake, &self.held.claim().days).await?;
        match left.first() {
            None => Ok(Ok(())),
            Some(first) => Ok(Err(format!(
                "{} are left, such as {first}",
                format::counted(left.len() as u64, "object or partition")
            ))),
        }
    }
}

/// The MD5 of the files of a folder, by name.
fn md5s(folder: &Folder) -> anyhow::Result<Md5s> {
    let md5 = |file: &crate::raw_folder::File| {
        let name = file.path.file_name().and_then(|name| name.to_str()).context("a file without a name")?;
        let name = name.parse::<SnapshotName>()?.to_string();
        Ok((name, dedup::md5_of(&file.path).with_context(|| format!("cannot read {}", file.path.display()))?))
    };
    folder.files.iter().map(md5).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_account_is_nowhere_in_the_report() {
        let arn = "arn:aws:states:sa-east-1:123456789012:stateMachine:acme-create_datalake";
        let (region, account) = region_and_account(arn);
        assert_eq!((region, account), ("sa-east-1", "123456789012"));
        let promise = SmokePromise {
            name: "upload".to_owned(),
            promise: String::new(),
            document: String::new(),
            done: String::new(),
            verdict: Verdict::Failed,
            reason: Some("s3://acme-raw-123456789012/landing/x is there".to_owned()),
            evidence: vec![SmokeEvidence { name: "execution".to_owned(), value: arn.to_owned() }],
            started: Timestamp::from_millis(0),
            seconds: 0.0,
            usd: 0.0,
        };
        let mut report = Smoke {
            version: "1".to_owned(),
            aws: true,
            region: region.to_owned(),
            stack: Some("acme".to_owned()),
            account: account.to_owned(),
            started: Timestamp::from_millis(0),
            seconds: 0.0,
            days: Vec::new(),
            estimated_usd: 0.0,
            usd: 0.0,
            passed: 0,
            failed: 1,
            skipped: 0,
            promises: vec![promise],
        };
        redact(&mut report, account);
        let text = serde_json::to_string(&report).expect("JSON");
        assert!(!text.contains("12345678") && text.matches("********9012").count() == 3, "{text}");
    }
}
