//! What every day of the lake is: published, stale, failed, missing, and what to do next.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, Utc};
use lake::days::{self, Failed, Next, Seen, Stale};
use lake::record::Decision;
use market::partition::DateRange;
use serde::Serialize;

use super::Answer;
use crate::app::App;
use crate::days::Asked;
use crate::error::Failure;

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/days", get(of_days))
}

#[derive(Serialize)]
struct Days {
    /// What a command on this lake begins with.
    program: String,
    /// The first and the last day of which anything is known; none where there is nothing at all.
    known: Option<(NaiveDate, NaiveDate)>,
    /// The days that are shown.
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    days: Vec<Day>,
}

/// A day, without the times of its missing snapshots: thousands of days are one answer.
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
    /// The execution of the run, which its attempts share.
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
    /// What stands behind the program.
    arguments: String,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

async fn of_days(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Answer<Days> {
    let now = Utc::now();
    let wrong = |error: market::partition::InvalidDateRange| {
        Failure::invalid(error.to_string()).hint("Choose other days, above the calendar.")
    };
    let named = asked.from.zip(asked.to).map(|(from, to)| DateRange::new(from, to)).transpose().map_err(wrong)?;
    // The others are looked at too, so that the page can say that there are any.
    let seen = Seen::look(&app.lake, None).await?;
    let known = seen.span();
    let range = match (named, known) {
        (Some(range), _) => Some(range),
        (None, Some(known)) => {
            let from = asked.from.unwrap_or(known.from());
            Some(DateRange::new(from, asked.to.unwrap_or(known.to().max(from))).map_err(wrong)?)
        }
        (None, None) => None,
    };
    let found = range.map(|range| days::judge(&app.lake.config, range, &seen, now)).unwrap_or_default();
    Ok(Json(Days {
        program: app.program.clone(),
        known: known.map(|range| (range.from(), range.to())),
        from: range.map(DateRange::from),
        to: range.map(DateRange::to),
        days: found.into_iter().map(Day::of).collect(),
    }))
}

impl Day {
    fn of(day: days::Day) -> Self {
        let count = |of: &days::Snapshots| Count { present: of.present, expected: of.expected };
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
