//! The calendar of snapshots, the rejects, and the checks of the runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::Browser;
use crate::lake::Home;

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

/// The raw file of this beginning of a name.
fn raw_file(home: &Home, feed: &str, at: usize) -> PathBuf {
    let mut found = files(&home.raw());
    found.retain(|path| name(path).starts_with("20200401") && name(path).contains(feed));
    found.sort();
    found.swap_remove(at)
}

/// The slots of ten minutes from 10:00 on that the raw files of a feed fill, by day, from nothing but their names.
fn slots(names: &[String], stem: &str) -> BTreeMap<String, BTreeSet<u32>> {
    let mut days: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.contains(stem)) {
        let number = |at: std::ops::Range<usize>| name[at].parse::<u32>().expect("digits");
        let minute = number(8..10) * 60 + number(10..12);
        let day = format!("{}-{}-{}", &name[..4], &name[4..6], &name[6..8]);
        days.entry(day).or_default().insert((minute - 600) / 10);
    }
    days
}

/// A `data-` attribute of the first element, as a number.
async fn figure(browser: &Browser, css: &str, name: &str) -> usize {
    let script = "return Number(document.querySelector(arguments[0])?.dataset[arguments[1]] ?? -1)";
    let value = browser.script(script, vec![css.into(), name.into()]).await;
    value.as_f64().filter(|number| *number >= 0.0).unwrap_or_else(|| panic!("{css} has no data-{name}")) as usize
}

pub async fn the_calendar_counts_what_was_uploaded(_: &Shared, browser: &Browser) {
    let home = Home::new("calendar");
    home.sample(2, "2020-04-01");
    for at in [0, 5] {
        fs::remove_file(raw_file(&home, "flashpanel", at)).expect("a file can be removed");
    }
    let spoilt = raw_file(&home, "options.csv", 3);
    fs::write(&spoilt, [0, 1, 2, 3]).expect("a file can be written");
    fs::write(home.raw().join("notes.csv"), "x").expect("a file can be written");
    let raw = home.raw();
    let uploaded = home.command(&["upload", raw.to_str().expect("a path in UTF-8")]).output().expect("pregao runs");
    assert!(!uploaded.status.success(), "two files are refused");

    let refused = [name(&spoilt), "notes.csv".to_owned()];
    let taken: Vec<String> = files(&raw).iter().map(|path| name(path)).filter(|name| !refused.contains(name)).collect();
    let explorer = home.explore();
    browser.open_view(&format!("{}/quality", explorer.url())).await;
    for (feed, stem) in [("quotes", "flashpanel"), ("options", "options")] {
        let days = slots(&taken, stem);
        assert_eq!(days.len(), 2, "{feed}");
        for (day, filled) in &days {
            let cell = format!("[data-date=\"{day}\"] [data-feed={feed}]");
            assert_eq!(figure(browser, &cell, "present").await, filled.len(), "{feed} of {day}");
            assert_eq!(figure(browser, &cell, "missing").await, 42 - filled.len(), "{feed} of {day}");
            let quarantined = usize::from(feed == "options" && day == "2020-04-01");
            assert_eq!(figure(browser, &cell, "quarantined").await, quarantined, "{feed} of {day}");
        }
        let total = days.values().map(BTreeSet::len).sum::<usize>();
        assert_eq!(figure(browser, &format!("#totals [data-feed={feed}]"), "present").await, total);
        let of_feed = taken.iter().filter(|name| name.contains(stem)).count();
        assert_eq!(figure(browser, &format!("#totals [data-feed={feed}]"), "extra").await, of_feed - total);
    }
    assert!(browser.texts("#part-rejects .empty").await.join("").contains("create_datalake"));
    assert!(browser.texts("#part-audits .empty").await.join("").contains("create_datalake"));

    // A day slot by slot, with the reason that stands beside the file.
    browser.click("[data-date=\"2020-04-01\"]").await;
    browser.until("the day is shown", "return document.querySelector('#day[data-day=\"2020-04-01\"]') !== null").await;
    for (feed, stem) in [("quotes", "flashpanel"), ("options", "options")] {
        let filled = &slots(&taken, stem)["2020-04-01"];
        let css = format!("#day [data-feed={feed}] .slot");
        let script = "return [...document.querySelectorAll(arguments[0])].map((e) => [e.dataset.slot, e.dataset.state !== 'missing'])";
        let shown: Vec<(String, bool)> =
            serde_json::from_value(browser.script(script, vec![css.into()]).await).expect("slots");
        let expected: Vec<(String, bool)> = (0..42)
            .map(|slot| (format!("{:02}:{:02}", 10 + slot / 6, slot % 6 * 10), filled.contains(&slot)))
            .collect();
        assert_eq!(shown, expected, "{feed}");
    }
    let reason = raw.with_file_name("home").join(format!("s3/pregao-raw/quarantine/{}.reason.json", name(&spoilt)));
    let reason: Value = serde_json::from_slice(&fs::read(reason).expect("a reason")).expect("JSON");
    let row = browser.text("#quarantined tbody tr").await;
    for part in
        [name(&spoilt).as_str(), reason["reason"].as_str().expect("text"), reason["message"].as_str().expect("text")]
    {
        assert!(row.contains(part), "{part} is not in {row}");
    }
    browser.shot("calendar").await;
    browser.back().await;
    browser.until("the day is left", "return document.querySelector('#day') === null").await;
    browser.click("#nameless").await;
    browser.until("they are shown", "return document.querySelector('#quarantined tbody') !== null").await;
    assert!(browser.text("#quarantined tbody").await.contains("notes.csv"));
}

pub async fn rejects_are_those_that_sql_counts(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    browser.open_view(&format!("{}/quality", explorer.url())).await;
    let script =
        "return [...document.querySelectorAll('[data-group]')].map((e) => [e.dataset.group, Number(e.dataset.count)])";
    let mut shown: Vec<(String, i64)> = serde_json::from_value(browser.script(script, vec![]).await).expect("groups");
    let text = |row: &serde_json::Map<String, Value>, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = home.query(
        "SELECT table_name, column_name, reason, count(*) AS n FROM rejects WHERE year = 2020 AND month = 4
         GROUP BY table_name, column_name, reason",
    );
    let mut expected: Vec<(String, i64)> = rows
        .iter()
        .map(|row| {
            let group = ["table_name", "column_name", "reason"].map(|name| text(row, name)).join("/");
            (group, row["n"].as_i64().expect("a count"))
        })
        .collect();
    shown.sort();
    expected.sort();
    assert!(shown.len() > 10, "{shown:?}");
    assert_eq!(shown, expected);

    // The texts behind one, page by page: none is left out, and none stands there twice.
    browser.click("[data-group=\"quotes/Ofc/not_a_number\"]").await;
    let mut texts: Vec<(String, String)> = Vec::new();
    for page in 1.. {
        let shows = format!(
            "return document.querySelector('#reject-rows') !== null
            && (document.querySelector('#part-rejects .pages span')?.textContent ?? 'page 1') === 'page {page}'"
        );
        browser.until("the page is shown", &shows).await;
        let script = "return [...document.querySelectorAll('#reject-rows tbody tr')].map((row) => [row.cells[3].textContent, row.cells[2].textContent])";
        let found: Vec<(String, String)> = serde_json::from_value(browser.script(script, vec![]).await).expect("rows");
        assert!(!found.is_empty());
        texts.extend(found);
        if browser.script("return document.querySelector('#rejects-on')?.disabled ?? true", vec![]).await == json!(true)
        {
            break;
        }
        browser.click("#rejects-on").await;
    }
    let rows = home.query(
        "SELECT source_file, text FROM rejects WHERE year = 2020 AND month = 4
         AND table_name = 'quotes' AND column_name = 'Ofc' AND reason = 'not_a_number'",
    );
    let mut expected: Vec<(String, String)> =
        rows.iter().map(|row| (text(row, "source_file"), text(row, "text"))).collect();
    assert!(expected.len() > 50, "more than a page: {}", expected.len());
    texts.sort();
    expected.sort();
    assert_eq!(texts, expected);
    browser.shot("rejects").await;
}

pub async fn checks_are_those_of_the_reports(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    browser.open_view(&format!("{}/quality", explorer.url())).await;
    let run = browser.script("return document.querySelector('[data-audit]').dataset.audit", vec![]).await;
    let run = run.as_str().expect("a run");
    browser.click("[data-audit]").await;
    browser.until("the report is shown", "return document.querySelector('#report') !== null").await;
    for table in ["quotes", "options", "rejects"] {
        let file = home.raw().with_file_name("home").join(format!("s3/pregao-lake/quality/run={run}/{table}.json"));
        let report: Value = serde_json::from_slice(&fs::read(file).expect("a report")).expect("JSON");
        let script = "return [...document.querySelector(`[data-report=${arguments[0]}] table`).tBodies[0].rows].map((row) =>
            [row.cells[0].textContent, row.cells[1].textContent.startsWith('✓'), Number(row.cells[2].textContent.replaceAll(',', ''))])";
        let shown = browser.script(script, vec![table.into()]).await;
        let checks = report["checks"].as_array().expect("checks");
        let expected: Vec<Value> =
            checks.iter().map(|check| json!([check["name"], check["passed"], check["failing"]])).collect();
        assert_eq!(shown, json!(expected), "{table}");
    }
    assert!(checks_fail_somewhere(browser).await, "all figures are zero");
    browser.shot("checks").await;

    // A phone has room for it.
    browser.resize(500, 800).await;
    browser.open_view(&format!("{}/quality?day=2020-04-01", explorer.url())).await;
    let fits = browser.script("return document.documentElement.scrollWidth <= innerWidth", vec![]).await;
    assert_eq!(fits, json!(true), "it is wider than the phone");
    browser.shot("phone").await;
}

async fn checks_fail_somewhere(browser: &Browser) -> bool {
    let script = "return [...document.querySelectorAll('#checks .check')].some((e) => !e.textContent.endsWith(' 0%'))";
    browser.script(script, vec![]).await == json!(true)
}

pub async fn nothing_yet_says_what_to_do(_: &Shared, browser: &Browser) {
    let home = Home::new("empty");
    let explorer = home.explore();
    browser.open_view(&format!("{}/quality", explorer.url())).await;
    assert!(browser.text(".empty").await.contains("pregao upload"));
    browser.open_view(&format!("{}/runs", explorer.url())).await;
    assert!(browser.text(".empty").await.contains("Nothing has run here yet."));
    browser.shot("empty").await;
}
