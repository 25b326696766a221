//! The spans of the tasks of a job. A file of its own, because the worker threads log to the subscriber of the process.

use std::fs::{self, File};
use std::sync::Arc;

use etl::{Input, Job};
use market::snapshot::Feed;
use tracing_subscriber::filter::LevelFilter;

#[test]
fn tasks_are_logged_with_feed_and_day_within_the_span_of_the_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .without_time()
        .with_writer(Arc::new(File::create(&log).expect("a file")));
    subscriber.init();

    let inputs = ["202004011320", "202004021320"].map(|time| {
        let (feed, path) = (Feed::Options, folder.path().join(format!("{time}_options.csv")));
        let separator = char::from(feed.separator()).to_string();
        fs::write(&path, format!("{time}{separator}{}\n", feed.raw_columns().join(&separator))).expect("a file");
        Input::from_path(path).expect("the name of a snapshot")
    });
    let job = Job { inputs: inputs.into(), out: folder.path().join("out"), threads: 2, run: None };
    tracing::info_span!("step", id = "s-1").in_scope(|| etl::run(&job, &|_| ())).expect("the job succeeds");

    let text = fs::read_to_string(log).expect("the log");
    for day in ["2020-04-01", "2020-04-02"] {
        let expected = format!(
            "step{{id=\"s-1\"}}:task{{feed=options day={day} number=0 files=1}}: etl::task: the task is complete"
        );
        assert_eq!(text.matches(&expected).count(), 1, "{expected} in\n{text}");
        let name = format!("{}1320_options.csv", day.replace('-', ""));
        let expected = format!(
            "step{{id=\"s-1\"}}:task{{feed=options day={day} number=0 files=1}}:file{{name={name}}}: etl::task: the file is read"
        );
        assert_eq!(text.matches(&expected).count(), 1, "{expected} in\n{text}");
    }
}
