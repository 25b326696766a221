//! The statements that the explorer itself sends to Athena. On AWS each day that one of them does not leave out is read,
//! and paid for: so each has to name its days.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::Browser;
use crate::lake::{Explorer, Home, http};

/// Views of the last day alone.
const VIEWS_OF_A_DAY: [&str; 6] = [
    "/series?from=2020-04-03&to=2020-04-03",
    "/series?ticker=PETR4&ticker=VALE3&ratio=1.5&from=2020-04-03&to=2020-04-03",
    "/options?day=2020-04-03",
    "/options?underlying=PETR4&at=202004031500",
    "/quality?day=2020-04-03",
    "/sql",
];

/// Views that choose their days themselves, or look for a name on many.
const OTHER_VIEWS: [&str; 8] = [
    "/",
    "/series",
    "/series?ticker=PETR4&ticker=PERT4&from=2020-04-01&to=2020-04-03",
    "/options",
    "/options?underlying=PERT4",
    "/quality",
    "/runs",
    "/sql?statement=SELECT%201",
];

/// Questions of the pages, on the last day alone.
const QUESTIONS_OF_A_DAY: [&str; 14] = [
    "/lake",
    "/fresh",
    "/instruments?typed=PET",
    "/underlyings?typed=PET",
    "/series?from=2020-04-03&to=2020-04-03",
    "/series?ticker=PETR4&ticker=VALE3&ratio=1.5&from=2020-04-03&to=2020-04-03",
    "/options?day=2020-04-03",
    "/options?underlying=PETR4&at=202004031500",
    "/quality/calendar?from=2020-04-03&to=2020-04-03",
    "/quality/day?date=2020-04-03",
    "/quality/rejects?from=2020-04-03&to=2020-04-03",
    "/quality/rejects/rows?table=quotes&column=ask&reason=malformed&from=2020-04-03&to=2020-04-03",
    "/workflows",
    "/executions",
];

/// Questions that leave their days open, or are about a name that is nowhere.
const OTHER_QUESTIONS: [&str; 9] = [
    "/days",
    "/series",
    "/series?ticker=PERT4&from=2020-04-01&to=2020-04-03",
    "/options",
    "/options?underlying=PERT4",
    "/quality/calendar",
    "/quality/rejects",
    "/quality/rejects/rows?table=quotes&reason=malformed",
    "/quality/runs",
];

/// Asks a question of the pages.
fn ask(explorer: &Explorer, question: &str) -> Value {
    let (_, answer) = http(explorer.url(), &format!("GET /api{question}"), "");
    serde_json::from_slice(&answer).expect("JSON")
}

/// The questions about one run.
fn questions_of_a_run(explorer: &Explorer) -> [String; 3] {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let executed = text(&ask(explorer, "/executions")["executions"][0]["name"]);
    let audited = text(&ask(explorer, "/quality/runs")["runs"][0]["run"]);
    [
        format!("/execution?run={executed}"),
        format!("/quality/report?run={audited}"),
        format!("/document?uri=s3://pregao-lake/quality/run={audited}/quotes.json"),
    ]
}

/// What the server answers on GET, but for what people themselves have typed.
fn routes() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/explorer/src/api");
    let mut routes = BTreeSet::new();
    for file in fs::read_dir(folder).expect("the sources of the explorer") {
        let source = fs::read_to_string(file.expect("a file").path()).expect("a source");
        // Without what is between tokens, as a route may be written on several lines.
        let source: String = source.split_whitespace().collect();
        for route in source.split(".route(\"").skip(1) {
            let (path, handlers) = route.split_once("\",").expect("a path and its handlers");
            if handlers.starts_with("get(") && !path.starts_with("/sql/") {
                routes.insert(path.to_owned());
            }
        }
    }
    routes
}

/// The ids of all that Athena was ever asked.
fn asked(home: &Home) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut request = json!({ "MaxResults": 50 });
    loop {
        let mut page = home.athena("ListQueryExecutions", &request);
        ids.extend(
            page["QueryExecutionIds"].as_array().expect("ids").iter().filter_map(Value::as_str).map(str::to_owned),
        );
        match page["NextToken"].take() {
            Value::Null => return ids,
            token => request["NextToken"] = token,
        }
    }
}

/// The tables that a statement reads, each with what stands behind its name.
fn tables(statement: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = statement;
    while let Some(end) = rest.find(|c: char| !c.is_alphanumeric() && c != '_') {
        let (word, behind) = rest.split_at(end);
        rest = behind.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let source = behind.trim_start();
        let reads = ["FROM", "JOIN"].iter().any(|clause| word.eq_ignore_ascii_case(clause));
        if reads && !source.starts_with('(') {
            found.push(source.split_at(source.find([' ', '\n', ')', ',']).unwrap_or(source.len())));
        }
    }
    found
}

/// Whether what stands behind the name of a table keeps to days that it names, whatever else it asks for.
fn names_days(behind: &str) -> bool {
    let Some(condition) = behind.trim_start().strip_prefix("WHERE (") else { return false };
    let mut depth = 1;
    let closes = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    };
    let Some((condition, rest)) = condition.find(closes).map(|end| condition.split_at(end)) else { return false };
    let numbers = |c: char| c.is_ascii_digit() || c == ',' || c == ' ';
    let is_month = |month: &str| {
        let parts: Vec<&str> = month.split(" AND ").collect();
        let [year, month, days] = parts.as_slice() else { return false };
        year.strip_prefix("(year = ").is_some_and(|year| year.parse::<u16>().is_ok())
            && month.strip_prefix("month = ").is_some_and(|month| month.parse::<u8>().is_ok())
            && days
                .strip_prefix("day IN (")
                .and_then(|days| days.strip_suffix("))"))
                .is_some_and(|d| d.chars().all(numbers))
    };
    let next = rest[1..].trim_start();
    condition.split(" OR ").all(is_month) && !next.starts_with("OR ")
}

pub async fn each_names_the_days_that_it_reads(_: &Shared, browser: &Browser) {
    let home = Home::new("statements");
    home.publish(3, "2020-04-01", "2020-04-03");
    let explorer = home.explore();
    let before = asked(&home);

    for view in VIEWS_OF_A_DAY.iter().chain(&OTHER_VIEWS) {
        browser.open_view(&format!("{}{view}", explorer.url())).await;
    }
    let of_a_run = questions_of_a_run(&explorer);
    let questions =
        QUESTIONS_OF_A_DAY.iter().chain(&OTHER_QUESTIONS).copied().chain(of_a_run.iter().map(String::as_str));
    let mut toured = BTreeSet::new();
    for question in questions {
        ask(&explorer, question);
        toured.insert(question.split('?').next().expect("a path").to_owned());
    }
    assert_eq!(toured, routes(), "every question that the server answers is asked here");

    let mut read = BTreeSet::new();
    for id in asked(&home).difference(&before) {
        let query = home.athena("GetQueryExecution", &json!({ "QueryExecutionId": id }))["QueryExecution"].take();
        let statement = query["Query"].as_str().expect("a statement");
        if !statement.starts_with("SELECT") {
            assert_eq!(query["Statistics"]["DataScannedInBytes"], json!(0), "this reads data: {statement}");
            continue;
        }
        let tables = tables(statement);
        assert!(!tables.is_empty(), "this reads no table: {statement}");
        for (table, behind) in tables {
            assert!(names_days(behind), "this reads all days of {table}:\n{statement}");
            read.insert(table.to_owned());
        }
    }
    assert_eq!(read, ["options", "quotes", "rejects"].map(str::to_owned).into());
}

/// Spoils the files of a day in every table.
fn spoil(home: &Home, day: u8) {
    fn files(folder: &Path, spoilt: &mut usize) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files(&path, spoilt);
            } else {
                fs::write(&path, "no longer Parquet").expect("the files of a lake can be written");
                *spoilt += 1;
            }
        }
    }
    let runs = home.state().join("s3/pregao-lake/runs");
    for run in fs::read_dir(&runs).expect("there are runs") {
        for table in ["quotes", "options", "rejects"] {
            let folder = run.as_ref().expect("an entry").path().join(format!("{table}/year=2020/month=4/day={day}"));
            let mut spoilt = 0;
            files(&folder, &mut spoilt);
            assert!(spoilt > 0, "{} has files", folder.display());
        }
    }
}

pub async fn no_other_day_is_read(_: &Shared, browser: &Browser) {
    let home = Home::new("spoilt");
    home.publish(3, "2020-04-01", "2020-04-03");
    for day in [1, 2] {
        spoil(&home, day);
    }
    for table in ["quotes", "options", "rejects"] {
        // What reads a spoilt day fails, or this test would see nothing.
        let whole = format!("SELECT count(DISTINCT ticker) FROM {table}");
        let output = home.command(&["query", &whole]).output().expect("pregao runs");
        assert!(!output.status.success(), "{table} is read without its spoilt days being noticed");
    }

    let explorer = home.explore();
    for view in VIEWS_OF_A_DAY {
        browser.open_view(&format!("{}{view}", explorer.url())).await;
    }
    for question in QUESTIONS_OF_A_DAY {
        ask(&explorer, question);
    }
}
