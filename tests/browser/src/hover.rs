//! Tooltips: what stands below the mouse is what SQL says of the time, or the strike, below the mouse.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Shared;
use crate::browser::{Browser, PATIENCE};
use crate::series::{MICRO_PRICE, of_april};

/// The slots that are hovered over: each tenth place of the window, without the breaks between days.
const PLACES: &str = "
    const option = document.getElementById('series-chart').chart.getOption();
    const [{ startValue, endValue }] = option.dataZoom;
    return option.xAxis[0].data.flatMap((name, at) =>
      at % 10 === 3 && at >= startValue && at <= endValue && /^[0-9]+$/.test(name) ? [[at, name]] : []);";

/// Where a place of the axis is in the window of the browser, within the panel of this number.
const POINT: &str = "
    const [at, panel] = arguments;
    const element = document.getElementById('series-chart');
    const { chart } = element;
    const [x] = chart.convertToPixel({ xAxisIndex: panel, yAxisIndex: panel }, [at, 0]);
    const { top, height } = chart.getOption().grid[panel];
    element.scrollIntoView({ block: 'nearest' });
    const box = element.getBoundingClientRect();
    return [box.left + x, box.top + top + height / 2];";

/// The tooltip that is shown: its time, and its rows by their names, each with its cells.
const TIP: &str = "
    const tip = [...document.querySelectorAll('#series-chart > div')]
      .find((one) => !one.querySelector('canvas') && getComputedStyle(one).visibility === 'visible');
    const time = (tip?.querySelector('th, strong')?.innerText ?? '').replace(/[- :]/g, '');
    const rows = [...(tip?.querySelectorAll('tbody tr') ?? [])].map((row) => [
      row.querySelector('th').innerText, [...row.querySelectorAll('td')].map((cell) => cell.innerText)]);
    return { time, text: tip?.innerText ?? '', rows: Object.fromEntries(rows) };";

/// Moves the mouse to a place, waits for the tooltip of its time, and returns it.
async fn tip(browser: &Browser, at: &Value, name: &str, panel: u32) -> Value {
    let point = browser.script(POINT, vec![at.clone(), panel.into()]).await;
    browser.move_mouse(point[0].as_f64().expect("a number"), point[1].as_f64().expect("a number")).await;
    shown(browser, TIP, "time", &name.into()).await
}

/// The tooltip, once it is that of what is below the mouse.
async fn shown(browser: &Browser, script: &str, field: &str, below: &Value) -> Value {
    let begun = Instant::now();
    loop {
        let tip = browser.script(script, vec![]).await;
        if tip[field] == *below {
            return tip;
        }
        assert!(begun.elapsed() < PATIENCE, "the mouse is at {below}, and the tooltip is {tip}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a figure of a tooltip is that of SQL, to as many decimals as are shown. A dash is NULL.
fn is_same(shown: &str, told: Option<f64>, decimals: i32) -> bool {
    let shown = shown.split(" × ").next().unwrap_or_default().replace(',', "");
    match told {
        None => shown == "–",
        Some(told) => shown.parse::<f64>().is_ok_and(|shown| (shown - told).abs() <= 0.51 * 10f64.powi(-decimals)),
    }
}

type Rows = HashMap<String, Map<String, Value>>;

/// The rows of a query by their `intdate`.
fn by_time(shared: &Shared, sql: &str) -> Rows {
    let (home, _) = shared.published();
    let rows = home.query(sql).into_iter();
    rows.map(|row| (row["intdate"].to_string(), row)).collect()
}

async fn places(browser: &Browser) -> Vec<(Value, String)> {
    let found = browser.script(PLACES, vec![]).await;
    let places: Vec<(Value, String)> = serde_json::from_value(found).expect("places and their names");
    assert!(places.len() > 3, "{places:?}");
    places
}

/// Hovers over an instrument's prices and volumes, and compares each tooltip with SQL.
async fn prices(shared: &Shared, browser: &Browser, ticker: &str, query: &str) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker={ticker}&{query}", explorer.url())).await;
    let told = by_time(
        shared,
        &format!(
            "SELECT DISTINCT intdate, bid, ask, last, num_trades, {MICRO_PRICE} AS micro FROM quotes
             WHERE year = 2020 AND month = 4 AND ticker = '{ticker}'"
        ),
    );
    let (mut full, mut empty) = (0, 0);
    for (number, (at, name)) in places(browser).await.iter().enumerate() {
        let tip = tip(browser, at, name, number as u32 % 2).await;
        let Some(row) = told.get(name) else {
            assert!(tip["text"].as_str().expect("text").contains("no snapshot"), "{ticker} {name}: {tip}");
            empty += 1;
            continue;
        };
        for (shown, column, decimals) in [
            ("micro-price", "micro", 4),
            ("bid", "bid", 4),
            ("ask", "ask", 4),
            ("last", "last", 4),
            ("trades", "num_trades", 0),
        ] {
            let cell = tip["rows"][shown][0].as_str().unwrap_or_default();
            assert!(is_same(cell, row[column].as_f64(), decimals), "{ticker} {name} {shown}: {row:?}, shown is {tip}");
        }
        full += 1;
    }
    assert!(full > 0, "{query}: {full} places with a snapshot, {empty} without");
}

pub async fn prices_are_those_of_the_time_below_the_mouse(shared: &Shared, browser: &Browser) {
    prices(shared, browser, "PETR4", "").await;
    browser.shot("default").await;
    prices(shared, browser, "PETR4", "from=2020-04-01&to=2020-04-08").await;
    prices(shared, browser, "VALE3F", "from=2020-04-07&to=2020-04-07").await;
    // A window that neither begins nor ends where a day does.
    prices(shared, browser, "PETR4", "from=2020-04-01&to=2020-04-08&zoom=202004021430-202004071120").await;
}

pub async fn a_rebased_price_is_that_of_the_time_below_the_mouse(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    let range = "from=2020-04-01&to=2020-04-08&scale=rebased";
    browser.open_view(&format!("{}/series?ticker=PETR4&ticker=VALE3F&{range}", explorer.url())).await;
    let legs = ["PETR4", "VALE3F"].map(|ticker| by_time(shared, &of_april(MICRO_PRICE, ticker)));
    let micro = |leg: usize, name: &str| legs[leg].get(name).and_then(|row| row["value"].as_f64());
    let mut both: Vec<&String> = legs[0].keys().filter(|time| (0..2).all(|leg| micro(leg, time).is_some())).collect();
    both.sort();
    let base = both[0];
    for (at, name) in places(browser).await {
        let tip = tip(browser, &at, &name, 0).await;
        let there: Vec<usize> = (0..2).filter(|leg| legs[*leg].contains_key(&name)).collect();
        for (column, leg) in there.iter().enumerate() {
            let rebased = micro(*leg, &name).map(|micro| 100.0 * micro / micro_of(&legs[*leg], base));
            let cell = tip["rows"]["rebased"][column].as_str().unwrap_or_default();
            assert!(is_same(cell, rebased, 3), "{name}: {rebased:?}, shown is {tip}");
        }
    }
}

fn micro_of(leg: &Rows, time: &str) -> f64 {
    leg[time]["value"].as_f64().expect("there is one at the base")
}

pub async fn a_spread_is_that_of_the_time_below_the_mouse(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    let range = "from=2020-04-01&to=2020-04-08&scale=spread&ratio=1.05";
    browser.open_view(&format!("{}/series?ticker=ITUB4&ticker=BBDC4&{range}", explorer.url())).await;
    let leg = |ticker| of_april(MICRO_PRICE, ticker);
    let sql = format!(
        "SELECT a.intdate, a.value - 1.05e0 * b.value AS value FROM ({}) a JOIN ({}) b ON a.intdate = b.intdate",
        leg("ITUB4"),
        leg("BBDC4")
    );
    let told = by_time(shared, &sql);
    for (number, (at, name)) in places(browser).await.iter().enumerate() {
        // The spread's own panel, and those of both legs, which have a band from bid to ask.
        let tip = tip(browser, at, name, number as u32 % 3).await;
        let text = tip["text"].as_str().expect("text");
        if text.contains("no snapshot") {
            assert!(!told.contains_key(name), "{name}: {tip}");
            continue;
        }
        let cell = text.rsplit(" = ").next().unwrap_or_default().trim();
        let value = told.get(name).and_then(|row| row["value"].as_f64());
        assert!(is_same(cell, value, 4), "{name}: {value:?}, shown is {tip}");
    }
}

/// Where a strike of the first expiry is in the window of the browser.
const STRIKE_POINT: &str = "
    const element = document.getElementById('smile-chart');
    const { chart } = element;
    const [x] = chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [arguments[0], 0]);
    const { top, height } = chart.getOption().grid[0];
    const y = top + height / 2;
    element.scrollIntoView({ block: 'nearest' });
    const box = element.getBoundingClientRect();
    // The first and the last strike are on the edge of the panel.
    const within = [0, -1, 1].find((step) => chart.containPixel({ gridIndex: 0 }, [Math.round(x) + step, y]));
    return [box.left + Math.round(x) + within, box.top + y];";

/// The tooltip of the smile: its strike, and the volatilities of each option in percent.
const STRIKE_TIP: &str = "
    const tip = [...document.querySelectorAll('#smile-chart > div')]
      .find((one) => !one.querySelector('canvas') && getComputedStyle(one).visibility === 'visible');
    const strike = (tip?.querySelector('thead th')?.innerText ?? 'none').replace(',', '');
    const rows = [...(tip?.querySelectorAll('tbody tr') ?? [])].map((row) => [
      row.querySelector('th').innerText, [...row.querySelectorAll('td')].map((cell) => cell.innerText.replace('%', ''))]);
    return { strike, rows: Object.fromEntries(rows) };";

pub async fn volatilities_are_those_of_the_strike_below_the_mouse(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    let address = "options?underlying=PETR4&at=202004081500&expiry=2020-05-18";
    browser.open_view(&format!("{}/{address}", explorer.url())).await;
    let rows = home.query(
        "SELECT DISTINCT ticker, optn_strike, bid_volimp, ask_volimp, bid_volcone, ask_volcone FROM options
         WHERE year = 2020 AND month = 4 AND day = 8 AND intdate = 202004081500 AND optn_ua = 'PETR4'
         AND optn_expn_date = '2020-05-18' AND optn_strike IS NOT NULL ORDER BY optn_strike",
    );
    let mut strikes: Vec<f64> = rows.iter().map(|row| row["optn_strike"].as_f64().expect("a strike")).collect();
    strikes.dedup();
    assert!(strikes.len() > 5, "{strikes:?}");
    for strike in strikes.iter().step_by(3) {
        let point = browser.script(STRIKE_POINT, vec![json!(strike)]).await;
        browser.move_mouse(point[0].as_f64().expect("a number"), point[1].as_f64().expect("a number")).await;
        let tip = shown(browser, STRIKE_TIP, "strike", &format!("{strike:.2}").into()).await;
        for row in rows.iter().filter(|row| row["optn_strike"].as_f64() == Some(*strike)) {
            let ticker = row["ticker"].as_str().expect("a ticker");
            for (cell, column) in ["bid_volimp", "ask_volimp", "bid_volcone", "ask_volcone"].iter().enumerate() {
                let shown = tip["rows"][ticker][cell].as_str().unwrap_or_default();
                let percent = row[*column].as_f64().map(|share| 100.0 * share);
                assert!(is_same(shown, percent, 2), "{strike} {ticker} {column}: {row:?}, shown is {tip}");
            }
        }
    }
}
