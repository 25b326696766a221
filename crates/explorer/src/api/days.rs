//! The state of each day: published, stale, failed or missing, with the command to run next.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, Utc};
use lake::record::Decision;
use lake_client::days::{self, Facts, Failed, Next, Stale};
use market::partition::DateRange;
use serde::Serialize;

use super::ApiResult;
use crate::app::App;
use crate::error::ApiError;
use crate::published_days::DateRangeParams;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/days", get(list_days))
}

#[derive(Serialize)]
struct DaysResponse {
    /// The beginning of a command on this lake.
    program: String,
    /// The first and the last day with raw files, partitions or runs; `None` for an empty lake.
    known: Option<(NaiveDate, NaiveDate)>,
    /// The range of `days`.
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    days: Vec<Day>,
}

/// A day. The times of missing snapshots are omitted, because a response can have thousands of days.
#[derive(Serialize)]
struct Day {
    day: NaiveDate,
    state: days::State,
    attention: bool,
    quotes: Count,
    options: Count,
    #[serde(skip_serializing_if = "is_zero")]
    quarantined: usize,
    #[serde(skip_serializing_if = "is_zero")]
    landing: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<Stale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Command>,
}

#[derive(Serialize)]
struct Count {
    present: usize,
    expected: usize,
}

#[derive(Serialize)]
struct Published {
    run: String,
    /// The name of the execution. The runs of its attempts share it.
    execution: String,
    at: DateTime<Utc>,
    age: i64,
    quotes: Option<u64>,
    options: Option<u64>,
    rejects: Option<u64>,
}

#[derive(Serialize)]
struct Command {
    #[serde(flatten)]
    next: Next,
    /// The arguments after [`DaysResponse::program`].
    arguments: String,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

async fn list_days(State(app): State<Arc<App>>, Query(params): Query<DateRangeParams>) -> ApiResult<DaysResponse> {
    let now = Utc::now();
    let invalid = |error: market::partition::InvalidDateRange| {
        ApiError::invalid(error.to_string()).hint("Choose other days, above the calendar.")
    };
    let requested =
        params.from.zip(params.to).map(|(from, to)| DateRange::new(from, to)).transpose().map_err(invalid)?;
    // Days outside the range are read too, for `known`.
    let facts = Facts::read(&app.lake, None).await?;
    let known = facts.span();
    let range = match (requested, known) {
        (Some(range), _) => Some(range),
        (None, Some(known)) => {
            let from = params.from.unwrap_or(known.from());
            Some(DateRange::new(from, params.to.unwrap_or(known.to().max(from))).map_err(invalid)?)
        }
        (None, None) => None,
    };
    let days = range.map(|range| days::judge(&app.lake.config, range, &facts, now)).unwrap_or_default();
    Ok(Json(DaysResponse {
        program: app.program.clone(),
        known: known.map(|range| (range.from(), range.to())),
        from: range.map(DateRange::from),
        to: range.map(DateRange::to),
        days: days.into_iter().map(Day::from).collect(),
    }))
}

impl From<days::Day> for Day {
    fn from(day: days::Day) -> Self {
        let count = |snapshots: &days::Snapshots| Count { present: snapshots.present, expected: snapshots.expected };
        Self {
            day: day.day,
            state: day.state,
            attention: day.attention,
            quotes: count(&day.quotes),
            options: count(&day.options),
            quarantined: day.quarantined,
            landing: day.landing,
            stale: day.stale,
            published: day.published.map(|published| Published {
                execution: published.run.execution().to_owned(),
                run: published.run.to_string(),
                at: published.at,
                age: published.age,
                quotes: published.quotes,
                options: published.options,
                rejects: published.rejects,
            }),
            held: day.held,
            accepted: day.accepted,
            failed: day.failed,
            next: day.next.map(|next| Command { arguments: next.arguments(), next }),
        }
    }
}
