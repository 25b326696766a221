//! Time series.

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::{Browser, Key};

/// All days of the shared lake.
const DAYS: &str = "from=2020-04-01&to=2020-04-08";

/// Compares a drawn series with the rows of a query, along the whole axis. Both are compared in the page, from their texts:
/// so no digit is lost on the way.
const COMPARE: &str = "
    const [id, rows] = arguments;
    const option = document.getElementById('series-chart').chart.getOption();
    const axis = option.xAxis[0].data;
    const series = option.series.find((one) => one.id === id);
    const answered = new Map(JSON.parse(rows).map((row) => [String(row.intdate), row.value]));
    const wrong = axis.flatMap((name, at) => {
      const [drawn, told] = [series.data[at] ?? null, answered.get(name) ?? null];
      return drawn === told ? [] : [`${name}: ${drawn} is drawn, ${told} is told`];
    });
    wrong.push(...[...answered.keys()].filter((time) => !axis.includes(time)).map((time) => `${time} is not on the axis`));
    return {
      wrong, points: series.data.filter((value) => value !== null).length, rows: answered.size,
      places: axis.length, breaks: axis.filter((name) => !/^[0-9]+$/.test(name)).length, connected: series.connectNulls,
    };";

/// What is drawn, and over which times.
const DRAWN: &str = "
    const option = document.getElementById('series-chart').chart.getOption();
    return JSON.stringify([option.xAxis[0].data, option.series.map(({ id, data }) => [id, data])]);";

async fn drawn(browser: &Browser) -> String {
    browser.script(DRAWN, vec![]).await.as_str().expect("text").to_owned()
}

/// Compares the series `id` with a query's `intdate` and `value`, and gives the figures of the comparison.
async fn compare(shared: &Shared, browser: &Browser, id: &str, sql: &str) -> Value {
    let (home, _) = shared.published();
    let rows = home.pregao(&["query", "--format", "json", sql]);
    let found = browser.script(COMPARE, vec![id.into(), rows.into()]).await;
    assert_eq!(found["wrong"], json!([]), "{id}");
    found
}

/// The statement for a column of an instrument, along all days of the shared lake.
pub fn of_april(columns: &str, ticker: &str) -> String {
    format!(
        "SELECT DISTINCT intdate, {columns} AS value FROM quotes WHERE year = 2020 AND month = 4 AND ticker = '{ticker}'"
    )
}

pub const MICRO_PRICE: &str = "CASE WHEN qty_bid + qty_ask > 0 THEN (qty_bid*ask + qty_ask*bid)/(qty_bid+qty_ask) END";

pub async fn the_micro_price_is_that_of_sql(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker=PETR4&ticker=VALE3F&{DAYS}", explorer.url())).await;
    for ticker in ["PETR4", "VALE3F"] {
        let found = compare(shared, browser, &format!("micro:{ticker}"), &of_april(MICRO_PRICE, ticker)).await;
        let count = |name: &str| found[name].as_u64().expect("a count");
        assert!(count("points") > 100, "{found}");
        // Six sessions of 42 slots, of which some have no snapshot, and five nights.
        assert!(count("places") >= 6 * 42 + 5 && count("rows") < 6 * 42, "{found}");
        assert_eq!(count("breaks"), 5);
        assert_eq!(found["connected"], json!(false), "gaps stay gaps");
        compare(shared, browser, &format!("last:{ticker}"), &of_april("last", ticker)).await;
    }
    browser.shot("two").await;
}

pub async fn what_was_traded_adds_up_to_the_totals(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker=ITUB4&{DAYS}", explorer.url())).await;
    let steps = "SELECT intdate, CASE WHEN step >= 0 THEN step END AS value FROM (
        SELECT intdate, qty_total - coalesce(max(qty_total) OVER (PARTITION BY day ORDER BY intdate
            ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING), 0) AS step
        FROM (SELECT DISTINCT day, intdate, qty_total FROM quotes
            WHERE year = 2020 AND month = 4 AND ticker = 'ITUB4' AND qty_total IS NOT NULL))";
    let found = compare(shared, browser, "traded:ITUB4", steps).await;
    assert!(found["points"].as_u64() > Some(100), "{found}");
}

pub async fn a_change_is_drawn_and_kept_in_the_address(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    browser.open_view(explorer.url()).await;
    // What the bare address shows.
    let most = home.query(
        "SELECT ticker FROM quotes WHERE year = 2020 AND month = 4 AND day = 8
         GROUP BY ticker ORDER BY max(total_volume) DESC NULLS LAST, ticker LIMIT 1",
    );
    let most = most[0]["ticker"].as_str().expect("a ticker").to_owned();
    assert!(drawn(browser).await.contains(&format!("\"micro:{most}\"")));

    // All at once, so that it is asked for once: what comes later would take the place of what is chosen.
    browser.fill("#ticker", "vale").await;
    browser.until("there are suggestions", "return document.querySelector('[data-name=VALE3]') !== null").await;
    browser.shot("suggestions").await;
    browser.press(Key::Down).await;
    browser.press(Key::Enter).await;
    browser.ready().await;
    assert_eq!(browser.address().await, format!("/series?ticker={most}&ticker=VALE3"));
    let before = drawn(browser).await;
    assert!(before.contains("\"micro:VALE3\""));

    browser.fill("#from", "2020-04-07").await;
    browser.ready().await;
    let address = browser.address().await;
    assert!(address.contains("from=2020-04-07&to=2020-04-08"), "{address}");
    let two_days = drawn(browser).await;
    assert!(two_days.starts_with("[[\"2020040710"), "{}", &two_days[..60]);

    browser.click("label:has(#scale-rebased)").await;
    browser.ready().await;
    let rebased = drawn(browser).await;
    assert!(rebased.contains("\"rebased:VALE3\"") && browser.address().await.ends_with("scale=rebased"));
    browser.shot("rebased").await;

    let address = browser.address().await;
    browser.open_view(&format!("{}{address}", explorer.url())).await;
    assert_eq!(drawn(browser).await, rebased, "the address says all of it");
    for earlier in [&two_days, &before] {
        browser.back().await;
        browser.ready().await;
        assert_eq!(&drawn(browser).await, earlier, "back goes back");
    }
}

pub async fn the_window_is_kept_in_the_address(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker=PETR4&{DAYS}", explorer.url())).await;
    browser.press(Key::Letter('+')).await;
    browser.until("the address has the window", "return location.search.includes('zoom=')").await;
    let window =
        "const [{ startValue, endValue }] = document.getElementById('series-chart').chart.getOption().dataZoom;
        const axis = document.getElementById('series-chart').chart.getOption().xAxis[0].data;
        return [axis[startValue], axis[endValue]].join('-');";
    let shown = browser.script(window, vec![]).await;
    let address = browser.address().await;
    assert!(address.ends_with(shown.as_str().expect("text")), "{address}: {shown}");
    browser.open_view(&format!("{}{address}", explorer.url())).await;
    assert_eq!(browser.script(window, vec![]).await, shown);
    browser.press(Key::Letter('0')).await;
    browser.until("all is shown", "return !location.search.includes('zoom=')").await;
}

pub async fn an_unknown_instrument_is_reported_with_the_nearest(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker=VALE3", explorer.url())).await;
    browser.type_into("#ticker", "pert4").await;
    browser.press(Key::Enter).await;
    browser.ready().await;
    let told = browser.text("[data-absent=PERT4]").await;
    assert!(told.contains("There is no instrument PERT4") && told.contains("PETR4"), "{told}");
    browser.shot("unknown").await;
    browser.click("[data-absent=PERT4] button").await;
    browser.ready().await;
    assert_eq!(browser.address().await, "/series?ticker=VALE3&ticker=PETR4");
    assert!(browser.texts("[data-absent]").await.is_empty());
    assert!(drawn(browser).await.contains("\"micro:PETR4\""));
}

pub async fn days_that_are_not_published_are_reported(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker=PETR4&from=2020-04-04&to=2020-04-05", explorer.url())).await;
    let told = browser.text("#absent").await;
    assert!(told.contains("No day is published from 2020-04-04 to 2020-04-05"), "{told}");
    assert!(told.contains("from 2020-04-01 to 2020-04-08"), "{told}");
    // The Friday before that weekend.
    browser.click("#absent button").await;
    browser.ready().await;
    assert_eq!(browser.address().await, "/series?ticker=PETR4&from=2020-04-03&to=2020-04-03");
    assert!(drawn(browser).await.starts_with("[[\"20200403"));
}

pub async fn a_spread_is_that_of_sql(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    let sql = |ratio: &str, a: &str, b: &str| {
        let leg = |ticker| of_april(MICRO_PRICE, ticker);
        format!(
            "SELECT a.intdate, a.value - {ratio} * b.value AS value FROM ({}) a JOIN ({}) b ON a.intdate = b.intdate",
            leg(a),
            leg(b)
        )
    };
    browser.open_view(&format!("{}/series?ticker=ITUB4&ticker=BBDC4&{DAYS}", explorer.url())).await;
    browser.click("label:has(#scale-spread)").await;
    browser.ready().await;
    let found = compare(shared, browser, "spread", &sql("1e0", "ITUB4", "BBDC4")).await;
    assert!(found["points"].as_u64() > Some(100), "{found}");

    browser.fill("#ratio", "1,05").await;
    browser.ready().await;
    assert!(browser.address().await.contains("ratio=1.05"));
    compare(shared, browser, "spread", &sql("1.05e0", "ITUB4", "BBDC4")).await;
    browser.shot("spread").await;

    browser.click("#swap").await;
    browser.ready().await;
    compare(shared, browser, "spread", &sql("1.05e0", "BBDC4", "ITUB4")).await;
}

pub async fn the_figures_are_there_to_be_read(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    browser.resize(375, 800).await;
    browser.open_view(&format!("{}/series?ticker=PETR4&from=2020-04-08&to=2020-04-08", explorer.url())).await;
    browser.shot("phone").await;
    browser.script("document.querySelector('#figures').open = true", vec![]).await;
    browser.until("the table is there", "return document.querySelector('table.figures tbody tr') !== null").await;
    let rows = home
        .query("SELECT DISTINCT intdate FROM quotes WHERE year = 2020 AND month = 4 AND day = 8 AND ticker = 'PETR4'");
    assert_eq!(browser.texts("table.figures tbody tr").await.len(), rows.len());
    let wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(browser.script(wide, vec![]).await, json!(true), "the page is not wider than the window");
}
