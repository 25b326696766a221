//! Tests which files a job publishes and replaces, and its report.

use std::fs;

use etl::Job;
use market::snapshot::Feed;
use serde_json::json;

use crate::lake::{Lake, quote, record};

const DAY: &str = "year=2020/month=4/day=1";

#[test]
fn a_day_has_rejects_and_the_tables_of_its_feeds() {
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [quote("PETR4", &[("Ult", "x")])]);
    lake.snapshot(Feed::Options, "202004021320", [record(Feed::Options, "PETRD1", &[])]);
    let report = lake.run();
    assert_eq!(
        lake.published(),
        [
            "options/year=2020/month=4/day=2/part-options-00000.parquet",
            "quotes/year=2020/month=4/day=1/part-quotes-00000.parquet",
            "rejects/year=2020/month=4/day=1/part-quotes-00000.parquet",
            "rejects/year=2020/month=4/day=2/part-options-00000.parquet",
        ]
    );
    let bytes: Vec<u64> = report.files.iter().map(|file| file.counts.bytes).collect();
    let partition = |table: &str, day: u32, feed: &str, rows: u64| {
        let partition = format!("year=2020/month=4/day={day}");
        let files = [format!("{table}/{partition}/part-{feed}-00000.parquet")];
        json!({"table": table, "partition": partition, "files": files, "rows": rows})
    };
    let counts = |bytes: u64, records: u64, rejected_cells: u64| {
        json!({"bytes": bytes, "records": records, "published": records, "blank_ticker": 0, "header_repeat": 0,
            "ragged": 0, "rejected_cells": rejected_cells})
    };
    let file = |name: &str, bytes: u64, rejected_cells: u64| {
        let mut file = counts(bytes, 1, rejected_cells);
        file["name"] = json!(name);
        file
    };
    assert_eq!(
        serde_json::to_value(&report).expect("JSON"),
        json!({
            "files": [file("202004011320_flashpanel.csv", bytes[0], 1), file("202004021320_options.csv", bytes[1], 0)],
            "partitions": [
                partition("quotes", 1, "quotes", 1),
                partition("options", 2, "options", 1),
                partition("rejects", 1, "quotes", 1),
                partition("rejects", 2, "options", 0),
            ],
            "totals": counts(bytes[0] + bytes[1], 2, 1),
        })
    );
}

#[test]
fn a_run_has_its_own_folder() {
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [quote("PETR4", &[])]);
    lake.run();
    let job = Job { run: Some("night-1".parse().expect("a run")), ..lake.job() };
    let report = etl::run(&job, &|_| ()).expect("the job succeeds");
    let in_run = format!("runs/run=night-1/quotes/{DAY}/part-quotes-00000.parquet");
    assert_eq!(report.partitions[0].files, [in_run.as_str()]);
    assert_eq!(
        lake.published(),
        [
            format!("quotes/{DAY}/part-quotes-00000.parquet"),
            format!("rejects/{DAY}/part-quotes-00000.parquet"),
            in_run,
            format!("runs/run=night-1/rejects/{DAY}/part-quotes-00000.parquet"),
        ]
    );
}

#[test]
fn a_job_replaces_the_days_of_its_feeds_and_leaves_the_others() {
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [quote("PETR4", &[]), quote("VALE3", &[("Ult", "x")])]);
    lake.snapshot(Feed::Quotes, "202004021320", [quote("PETR4", &[])]);
    lake.snapshot(Feed::Options, "202004011320", ["ragged"]);
    lake.run();
    let before = lake.published();
    lake.run();
    assert_eq!(lake.published(), before);
    assert_eq!((lake.quotes().len(), lake.rejects().len()), (3, 2));

    let other_day = lake.out().join("quotes/year=2020/month=4/day=2/part-quotes-00000.parquet");
    let other_bytes = fs::read(&other_day).expect("a file");
    lake.forget_inputs();
    lake.snapshot(Feed::Quotes, "202004011330", [quote("ABEV3", &[])]);
    lake.run();
    assert_eq!(lake.published(), before);
    assert_eq!(lake.quotes().len(), 2);
    assert_eq!(lake.rejects().len(), 1, "that of the options, whose files were not in the job");
    assert!(fs::read(&other_day).expect("a file") == other_bytes);
}

#[test]
fn a_job_without_files_does_nothing() {
    let lake = Lake::new();
    let report = lake.run();
    assert!(report.files.is_empty() && report.partitions.is_empty());
    assert_eq!(lake.published(), [""; 0]);
}
