//! Statements that people write.

use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::browser::{Browser, Key, PATIENCE};
use crate::lake::{Home, http};

/// Cells of every kind: texts, numbers of all sizes, NULL, and a text without characters.
const KINDS: &str = "SELECT ticker, intdate, bid, qty_bid, ask > 10 AS dear, 9007199254740993 AS big, bid / 3e9 AS small, \
                     NULL AS none, '' AS nothing, 'a,\"b' AS quoted \
                     FROM quotes WHERE year = 2020 AND month = 4 AND day = 1 AND ticker LIKE 'P%' ORDER BY ticker, intdate";

/// Puts a statement into the box and runs it.
async fn ask(browser: &Browser, statement: &str) {
    browser.fill("#statement", statement).await;
    browser.press_with_control(Key::Enter).await;
    browser.ready().await;
}

/// The cells that are shown, each as the text that it stands for.
async fn shown(browser: &Browser) -> Vec<Vec<Option<String>>> {
    let script = "return [...document.querySelectorAll('#rows tbody tr')].map(row => [...row.cells].map(cell =>
        cell.querySelector('[data-null]') ? null : cell.querySelector('[data-exact]').dataset.exact))";
    serde_json::from_value(browser.script(script, vec![]).await).expect("rows")
}

/// Holds cells against the rows that `pregao query` gives.
fn assert_same(shown: &[Vec<Option<String>>], expected: &[Map<String, Value>]) {
    assert_eq!(shown.len(), expected.len());
    for (row, expected) in shown.iter().zip(expected) {
        assert_eq!(row.len(), expected.len());
        for (cell, (name, value)) in row.iter().zip(expected) {
            let same = match (cell, value) {
                (None, Value::Null) => true,
                (Some(text), Value::String(value)) => text == value,
                (Some(text), Value::Bool(value)) => *text == value.to_string(),
                (Some(text), Value::Number(value)) if value.is_i64() => *text == value.to_string(),
                (Some(text), Value::Number(value)) => text.parse().ok() == value.as_f64(),
                _ => false,
            };
            assert!(same, "{name}: {cell:?} is shown for {value}");
        }
    }
}

async fn open_sql(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/sql", explorer.url())).await;
}

pub async fn rows_are_those_of_pregao_query(shared: &Shared, browser: &Browser) {
    let (home, _) = shared.published();
    open_sql(shared, browser).await;
    let statement = format!("{KINDS} LIMIT 150");
    ask(browser, &statement).await;
    assert_same(&shown(browser).await, &home.query(&statement));
    assert_eq!(browser.text("#range").await, "Rows 1 to 150 of 150");
    assert!(browser.text("#status").await.contains("USD 0.00005 on AWS"));
    let first = browser.texts("#rows tbody tr:first-child td").await;
    assert_eq!((first[5].as_str(), first[7].as_str(), first[8].as_str()), ("9,007,199,254,740,993", "NULL", "empty"));
    browser.shot("rows").await;
}

pub async fn pages_go_back_and_forth(shared: &Shared, browser: &Browser) {
    let (home, _) = shared.published();
    open_sql(shared, browser).await;
    let statement = "SELECT ticker, intdate, last FROM quotes WHERE year = 2020 AND month = 4 AND day = 2 \
                     ORDER BY ticker, intdate LIMIT 450";
    let expected = home.query(statement);
    ask(browser, statement).await;
    browser.until("they are counted", "return document.querySelector('#range').innerText.includes('450')").await;
    let pages = [(0..199, "1 to 199"), (199..399, "200 to 399"), (399..450, "400 to 450")];
    let is_page = async |at: usize| {
        let (rows, range) = pages[at].clone();
        assert_same(&shown(browser).await, &expected[rows]);
        assert_eq!(browser.text("#range").await, format!("Rows {range} of 450"));
    };
    is_page(0).await;
    for at in [1, 2] {
        browser.click("#next").await;
        browser.ready().await;
        is_page(at).await;
    }
    let ends = browser.script("return document.querySelector('#next').disabled", vec![]).await;
    assert_eq!(ends, true);
    browser.click("#previous").await;
    browser.ready().await;
    is_page(1).await;
    // The browser's own way back leads through the same pages, and an address to its page.
    browser.back().await;
    browser
        .until("the page before is there", "return document.querySelector('#range').innerText.startsWith('Rows 400')")
        .await;
    is_page(2).await;
    let address = browser.address().await;
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}{address}", explorer.url())).await;
    assert_same(&shown(browser).await, &expected[399..450]);
    browser.click("#first").await;
    browser.ready().await;
    assert_same(&shown(browser).await, &expected[..199]);
    browser.shot("pages").await;
}

pub async fn a_wrong_statement_shows_athenas_words(shared: &Shared, browser: &Browser) {
    open_sql(shared, browser).await;
    browser.expect_refusals();
    ask(browser, "SELECT ticker,\n       tickr\nFROM quotes WHERE day = 1").await;
    let said = browser.text("#outcome .failure").await;
    assert!(said.contains("COLUMN_NOT_FOUND: line 2:8: Column 'tickr' cannot be resolved"), "{said}");
    let marked = browser.script("return document.querySelector('.sheet mark').textContent", vec![]).await;
    assert_eq!(marked, "tickr");
    browser.shot("wrong").await;
    browser.click("#place").await;
    let selected = "const box = document.querySelector('#statement');
        return document.activeElement === box && box.value.slice(box.selectionStart, box.selectionEnd)";
    assert_eq!(browser.script(selected, vec![]).await, "tickr");
    ask(browser, "SELECT ticker FROM quotas").await;
    let said = browser.text("#outcome .failure").await;
    assert!(said.contains("TABLE_NOT_FOUND") && said.contains("SHOW TABLES"), "{said}");
    // It is of no consequence for what is asked next.
    ask(browser, "SHOW TABLES").await;
    assert_eq!(
        shown(browser).await.concat(),
        ["options", "published", "quotes", "rejects"].map(|name| Some(name.to_owned()))
    );
    assert!(browser.text("#status").await.contains("free on AWS"));
}

pub async fn reading_all_days_is_asked_back(shared: &Shared, browser: &Browser) {
    let (home, _) = shared.published();
    open_sql(shared, browser).await;
    browser.expect_refusals();
    let statement = "SELECT DISTINCT optn_style FROM options ORDER BY 1";
    ask(browser, statement).await;
    let said = browser.text("#whole").await;
    assert!(said.contains("all 6 days of options") && said.contains("year = 2020 AND month = 4 AND day = 8"), "{said}");
    assert_eq!(shown(browser).await.len(), 0);
    browser.shot("all-days").await;
    browser.click("#anyway").await;
    browser.ready().await;
    assert_same(&shown(browser).await, &home.query(statement));
}

pub async fn what_changes_the_lake_is_refused(shared: &Shared, browser: &Browser) {
    let (home, _) = shared.published();
    open_sql(shared, browser).await;
    browser.expect_refusals();
    ask(browser, "/* SELECT */ DROP TABLE quotes").await;
    let said = browser.text("#outcome .failure").await;
    assert!(said.contains("not with DROP") && said.contains("pregao query"), "{said}");
    assert_eq!(home.query("SHOW TABLES").len(), 4, "three tables, and which days of them are published");
}

pub async fn downloads_are_the_whole_answer(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    open_sql(shared, browser).await;
    // More than one page of whatever is read in pages.
    let statement = KINDS.replace("ticker LIKE 'P%'", "true");
    ask(browser, &statement).await;
    let href = async |id: &str| {
        let href =
            browser.script("return document.getElementById(arguments[0]).getAttribute('href')", vec![id.into()]).await;
        href.as_str().expect("an address").to_owned()
    };

    let (headers, csv) = http(explorer.url(), &format!("GET {}", href("csv").await), "");
    assert!(headers.contains("filename=\"pregao-quotes-"), "{headers}");
    let expected = home.pregao(&["query", "--format", "csv", &statement]);
    assert!(expected.lines().count() > 20_000);
    assert!(csv == expected.as_bytes(), "the CSV is another than that of pregao query");

    let (headers, parquet) = http(explorer.url(), &format!("GET {}", href("parquet").await), "");
    assert!(headers.contains(".parquet\""), "{headers}");
    let expected = home.query(&statement);
    let file = SerializedFileReader::new(bytes::Bytes::from(parquet)).expect("a Parquet file");
    let mut rows = file.get_row_iter(None).expect("rows");
    for expected in &expected {
        assert_eq!(json_row(&rows.next().expect("a row for each").expect("a row")), *expected);
    }
    assert!(rows.next().is_none(), "the Parquet file has more rows");
}

/// A row of a Parquet file as `pregao query` writes it.
fn json_row(row: &Row) -> Map<String, Value> {
    let cell = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(value) => json!(value),
        other => panic!("{other:?} is of a type that no column here has"),
    };
    row.get_column_iter().map(|(name, field)| (name.clone(), cell(field))).collect()
}

pub async fn a_keyboard_is_enough(shared: &Shared, browser: &Browser) {
    let (home, _) = shared.published();
    open_sql(shared, browser).await;
    let statement = "SHOW PARTITIONS quotes";
    browser.press(Key::Letter('/')).await;
    browser.press_with_control(Key::Letter('a')).await;
    for letter in statement.chars() {
        browser.press(Key::Letter(letter)).await;
    }
    browser.press_with_control(Key::Enter).await;
    browser.ready().await;
    assert_same(&shown(browser).await, &home.query(statement));
    let focus = "return document.activeElement.id || document.activeElement.textContent";
    browser.press(Key::Tab).await;
    assert_eq!(browser.script(focus, vec![]).await, "run", "Tab leaves the box");
    // Past Cancel, which has nothing to cancel, to the examples, and the second one of them.
    browser.press(Key::Tab).await;
    browser.press(Key::Enter).await;
    browser.until("the list is open", "return document.querySelector('#examples').open").await;
    browser.press(Key::Tab).await;
    browser.press(Key::Tab).await;
    browser.press(Key::Enter).await;
    assert_eq!(browser.script(focus, vec![]).await, "statement");
    browser.press_with_control(Key::Enter).await;
    browser.ready().await;
    assert!(!shown(browser).await.is_empty());
    let example = browser.script("return document.querySelector('#statement').value", vec![]).await;
    assert_same(&shown(browser).await, &home.query(example.as_str().expect("a statement")));
    // Pages are turned outside of the box.
    ask(browser, "SELECT ticker FROM quotes WHERE year = 2020 AND month = 4 AND day = 1 ORDER BY 1, intdate LIMIT 300")
        .await;
    browser.press(Key::Escape).await;
    browser.press(Key::Letter('n')).await;
    browser.ready().await;
    assert_eq!(shown(browser).await.len(), 101);
}

pub async fn an_address_is_enough(shared: &Shared, browser: &Browser) {
    open_sql(shared, browser).await;
    let url = shared.published().1.url();
    let statement = "SELECT ticker, max(bid) AS best -- ação & 100%\nFROM quotes\nWHERE year = 2020 AND month = 4 AND day = 3\n\
                     GROUP BY ticker ORDER BY 1 LIMIT 5";
    ask(browser, statement).await;
    let rows = shown(browser).await;
    assert_eq!(rows.len(), 5);
    let address = browser.address().await;
    browser.open_view(&format!("{url}/runs")).await;
    browser.open_view(&format!("{url}{address}")).await;
    let value = "return document.querySelector('#statement').value";
    assert_eq!(browser.script(value, vec![]).await, statement);
    assert_eq!(shown(browser).await, rows);
    // What was run is listed, and nothing is run by an address alone.
    browser.click("#earlier summary").await;
    assert!(browser.texts("#earlier li").await[0].starts_with("SELECT ticker, max(bid) AS best"));
    let unrun = address.split("&query=").next().expect("a beginning").to_owned();
    browser.open_view(&format!("{url}{unrun}")).await;
    assert_eq!(browser.script(value, vec![]).await, statement);
    assert_eq!(shown(browser).await.len(), 0);
    // Rows are not shown under another statement.
    let forged = address.replace("max%28bid%29", "min%28bid%29");
    assert_ne!(forged, address);
    browser.open_view(&format!("{url}{forged}")).await;
    assert!(browser.text("#status").await.contains("belong to another statement"));
    assert_eq!(shown(browser).await.len(), 0);
}

pub async fn names_are_put_into_the_statement(shared: &Shared, browser: &Browser) {
    open_sql(shared, browser).await;
    browser.fill("#statement", "SELECT").await;
    let table = "[data-table=quotes]";
    browser.click(&format!("{table} [data-column=ticker] button")).await;
    let value = "return document.querySelector('#statement').value";
    assert_eq!(browser.script(value, vec![]).await, "SELECT ticker");
    let keys = browser.texts(&format!("{table} li:has(.key) button")).await;
    assert_eq!(keys, ["year", "month", "day"]);
    assert!(browser.text(&format!("{table} summary")).await.contains("6 days, 2020-04-01 to 2020-04-08"));
    let columns =
        browser.script("return document.querySelectorAll('[data-table=options] [data-column]').length", vec![]).await;
    assert_eq!(columns, 24);
}

/// Makes so many pairs of rows that no machine is through with it before the test is.
const ENDLESS: &str =
    "SELECT sum(a.bid * b.ask) FROM quotes a, quotes b WHERE a.day = 1 AND b.day = 2 AND a.bid < b.ask + 1";

pub async fn who_leaves_cancels(_: &Shared, browser: &Browser) {
    // A lake of its own: nobody else waits for its processors.
    let home = &Home::new("cancelled");
    home.publish(2, "2020-04-01", "2020-04-02");
    let explorer = home.explore();
    browser.open_view(&format!("{}/sql", explorer.url())).await;
    browser.fill("#statement", ENDLESS).await;
    browser.press_with_control(Key::Enter).await;
    let by_cancel = running(home, 1).await;
    browser.click("#cancel").await;
    browser.ready().await;
    assert_eq!(browser.text("#status").await, "Cancelled.");
    assert_eq!(ended(home, &by_cancel[0]).await, "CANCELLED");

    // Asked again, and left for another view.
    browser.click("#run").await;
    let by_asking = running(home, 1).await;
    browser.click("#run").await;
    assert_eq!(ended(home, &by_asking[0]).await, "CANCELLED");
    let by_leaving = running(home, 1).await;
    browser.click("nav a[href='/quality']").await;
    assert_eq!(ended(home, &by_leaving[0]).await, "CANCELLED");
    browser.ready().await;
}

fn execution(home: &Home, id: &str) -> Value {
    home.athena("GetQueryExecution", &json!({ "QueryExecutionId": id }))["QueryExecution"].take()
}

/// Waits until so many endless queries run, and gives their ids.
async fn running(home: &Home, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let listed = home.athena("ListQueryExecutions", &json!({ "MaxResults": 20 }));
        let ids = listed["QueryExecutionIds"].as_array().expect("ids").iter().filter_map(Value::as_str);
        let runs = |id: &&str| {
            let query = execution(home, id);
            query["Query"] == ENDLESS && ["QUEUED", "RUNNING"].iter().any(|state| query["Status"]["State"] == *state)
        };
        let running: Vec<String> = ids.filter(runs).map(str::to_owned).collect();
        if running.len() == count {
            return running;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {count} of them run, and not {running:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a query has ended, and says how.
async fn ended(home: &Home, id: &str) -> String {
    let begun = Instant::now();
    loop {
        let state = execution(home, id)["Status"]["State"].take();
        if state != "RUNNING" && state != "QUEUED" {
            return state.as_str().expect("a state").to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for the end of {id}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
