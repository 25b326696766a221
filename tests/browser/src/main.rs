//! The explorer in a real browser: Chromium, driven by WebDriver, on `pregao explore` and a lake of its own.
//!
//! One lake of six days at the real size is shared by all tests that only look; a test that changes something makes
//! its own. Each test ends with a look at the console: a page that complains there has failed.
//!
//! `tests/run.py` runs them all. One by hand, with what it takes from the environment:
//!
//! ```sh
//! PREGAO=target/release/pregao BROWSER_TESTS=/some/folder cargo run --release --manifest-path tests/browser/Cargo.toml -- series
//! ```
//!
//! `PREGAO` is the binary, and `BROWSER_TESTS` the folder for lakes (`lakes/`) and screenshots (`screenshots/`). Not a
//! test of Cargo's own kind, because servers and browsers have to be ended when the last test is over.

mod browser;
mod days;
mod foreign;
mod frame;
mod hover;
mod lake;
mod live;
mod options;
mod quality;
mod runs;
mod series;
mod sql;
mod statements;
mod time_axis;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};

use browser::Browser;
use lake::{Explorer, Home};

/// What tests share, made by the first that needs it and ended by the last.
#[derive(Default)]
pub struct Shared {
    published: OnceLock<(Home, Explorer)>,
}

impl Shared {
    /// A lake of six published days at the real size, 2020-04-01 to 2020-04-08, and its explorer. Only to be looked at.
    pub fn published(&self) -> &(Home, Explorer) {
        self.published.get_or_init(|| {
            let home = Home::new("published");
            home.publish(6, "2020-04-01", "2020-04-08");
            let explorer = home.explore();
            (home, explorer)
        })
    }
}

/// A test of a view.
pub type Test = for<'a> fn(&'a Shared, &'a Browser) -> LocalBoxFuture<'a, ()>;

/// The tests of some modules, each under its module's name.
macro_rules! tests {
    ($($module:ident: $($test:ident),+ $(,)?;)*) => {
        vec![$($((
            concat!(stringify!($module), "::", stringify!($test)),
            (|shared, browser| Box::pin($module::$test(shared, browser))) as Test,
        )),+),*]
    };
}

fn main() -> ExitCode {
    // What is missing is said before anything starts.
    lake::binary();
    lake::folder("lakes");
    let mut arguments = Arguments::from_args();
    // Each test is a browser and a server.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let shared = Arc::new(Shared::default());
    let tests: Vec<(&str, Test)> = tests! {
        foreign: a_page_can_delete_and_forge_nothing, a_link_opens_the_explorer;
        frame: a_phone_is_wide_enough, an_empty_lake_says_what_to_do, colours_and_formats_are_kept, keys_are_listed,
            views_are_reached_by_keyboard;
        live: what_is_published_appears_by_itself, nobody_is_disturbed_while_writing;
        sql: a_keyboard_is_enough, a_wrong_statement_shows_athenas_words, an_address_is_enough,
            downloads_are_the_whole_answer, names_are_put_into_the_statement, pages_go_back_and_forth,
            reading_all_days_is_asked_back, rows_are_those_of_pregao_query, what_changes_the_lake_is_refused,
            who_leaves_cancels;
        runs: graphs_are_those_of_the_definitions, a_run_is_started_stopped_and_watched_to_its_end,
            a_failure_is_shown_with_its_report, a_stopped_endpoint_is_reported, older_pages_hold_still;
        days: days_are_those_of_pregao_status, many_days_are_shown_bit_by_bit;
        quality: the_calendar_counts_what_was_uploaded, rejects_are_those_that_sql_counts,
            checks_are_those_of_the_reports, nothing_yet_says_what_to_do;
        options: a_chain_is_that_of_sql, a_smile_is_that_of_sql, a_change_is_shown_and_kept_in_the_address,
            missing_options_are_reported;
        series: the_micro_price_is_that_of_sql, what_was_traded_adds_up_to_the_totals,
            a_change_is_drawn_and_kept_in_the_address, the_window_is_kept_in_the_address,
            an_unknown_instrument_is_reported_with_the_nearest, days_that_are_not_published_are_reported,
            a_spread_is_that_of_sql, the_figures_are_there_to_be_read;
        hover: prices_are_those_of_the_time_below_the_mouse, a_rebased_price_is_that_of_the_time_below_the_mouse,
            a_spread_is_that_of_the_time_below_the_mouse, volatilities_are_those_of_the_strike_below_the_mouse;
        time_axis: every_day_of_a_window_has_its_date, labels_follow_the_window_while_it_is_zoomed,
            labels_are_chosen_by_day_and_room;
        statements: each_names_the_days_that_it_reads, no_other_day_is_read;
    };
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            let shared = Arc::clone(&shared);
            Trial::test(name, move || {
                browser::run(name, &shared, test);
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
