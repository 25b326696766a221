//! Options.

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::{Browser, Key};

/// Compares the chain that is shown with the rows of a query: every option once, with its figures as far as they are shown.
const COMPARE_CHAIN: &str = "
    const rows = JSON.parse(arguments[0]);
    const shown = new Map();
    const lines = [...document.querySelectorAll('table.chain tbody tr')];
    for (const line of lines) {
      const cells = [...line.querySelectorAll('td')].map((cell) => cell.innerText.trim());
      const expiry = line.closest('table').dataset.expiry;
      const put = [cells[9], cells[8], cells[7], cells[5], cells[6]];
      for (const [kind, [ticker, delta, model, bid, ask]] of [['CALL', cells.slice(0, 5)], ['PUTT', put]]) {
        if (ticker) shown.set(ticker, { kind, expiry, strike: line.dataset.strike, delta, model: model.split(' · '), bid, ask });
      }
    }
    // Shown to four decimals at least, deltas to three; a dash is NULL.
    const same = (text, value, near) => (value === null ? text === '–' : Math.abs(Number(text) - value) <= near);
    const first = (text) => text.split(/\\s/)[0];
    const wrong = rows.filter((row) => {
      const one = shown.get(row.ticker);
      return !(one && one.kind === row.optn_tp && one.expiry === row.optn_expn_date && Number(one.strike) === row.optn_strike
        && same(first(one.bid), row.optn_mkt_bid, 5e-5) && same(first(one.ask), row.optn_mkt_ask, 5e-5)
        && same(one.model[0], row.optn_bs_bid, 5.1e-5) && same(one.model[1], row.optn_bs_ask, 5.1e-5)
        && same(one.delta, row.optn_bs_delta, 5.1e-4));
    });
    return { wrong: wrong.slice(0, 3).map((row) => [row, shown.get(row.ticker)]), rows: rows.length, shown: shown.size };";

/// Compares a line of the smile with the rows of a query.
const COMPARE_LINE: &str = "
    const [id, rows] = arguments;
    const series = document.getElementById('smile-chart').chart.getOption().series.find((one) => one.id === id);
    const told = JSON.parse(rows).map((row) => [row.strike, row.value]);
    return { same: JSON.stringify(series.data) === JSON.stringify(told), points: told.length, connected: series.connectNulls };";

const AT: &str = "year = 2020 AND month = 4 AND day = 8 AND intdate = 202004081500 AND optn_ua = 'PETR4'";

/// What is shown.
const SHOWN: &str = "
    const option = document.getElementById('smile-chart').chart.getOption();
    return JSON.stringify([document.getElementById('chain').innerText, option.series.map(({ id, data }) => [id, data])]);";

async fn shown(browser: &Browser) -> String {
    browser.script(SHOWN, vec![]).await.as_str().expect("text").to_owned()
}

async fn chain(shared: &Shared, browser: &Browser, condition: &str) -> Value {
    let (home, _) = shared.published();
    let sql = format!(
        "SELECT DISTINCT ticker, optn_tp, optn_expn_date, optn_strike, optn_mkt_bid, optn_mkt_ask, optn_bs_bid, optn_bs_ask,
         optn_bs_delta FROM options WHERE {condition} AND optn_strike IS NOT NULL"
    );
    let found = browser.script(COMPARE_CHAIN, vec![home.pregao(&["query", "--format", "json", &sql]).into()]).await;
    assert_eq!((&found["wrong"], &found["shown"]), (&json!([]), &found["rows"]), "{condition}");
    found
}

pub async fn a_chain_is_that_of_sql(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/options?underlying=PETR4&at=202004081500", explorer.url())).await;
    let found = chain(shared, browser, AT).await;
    assert!(found["shown"].as_u64() > Some(150), "{found}");
    browser.shot("chain").await;

    browser.fill("#expiry", "2020-05-18").await;
    browser.ready().await;
    assert_eq!(browser.address().await, "/options?underlying=PETR4&at=202004081500&expiry=2020-05-18");
    chain(shared, browser, &format!("{AT} AND optn_expn_date = '2020-05-18'")).await;
    browser.script("document.getElementById('smile-chart').scrollIntoView()", vec![]).await;
    browser.shot("smile").await;
}

pub async fn a_smile_is_that_of_sql(shared: &Shared, browser: &Browser) {
    let (home, explorer) = shared.published();
    browser.open_view(&format!("{}/options?underlying=PETR4&at=202004081500", explorer.url())).await;
    for (line, kind, column) in [
        ("call-bid", "CALL", "bid_volimp"),
        ("call-ask", "CALL", "ask_volimp"),
        ("put-bid", "PUTT", "bid_volimp"),
        ("put-ask", "PUTT", "ask_volimp"),
    ] {
        for expiry in ["2020-04-20", "2020-05-18", "2020-06-15", "2020-07-20"] {
            let sql = format!(
                "SELECT DISTINCT optn_strike AS strike, {column} AS value FROM options WHERE {AT} AND optn_tp = '{kind}'
                 AND optn_expn_date = '{expiry}' AND optn_strike IS NOT NULL ORDER BY optn_strike"
            );
            let rows = home.pregao(&["query", "--format", "json", &sql]);
            let found = browser.script(COMPARE_LINE, vec![format!("{line}:{expiry}").into(), rows.into()]).await;
            assert_eq!((&found["same"], &found["connected"]), (&json!(true), &json!(false)), "{line} {expiry}");
            assert!(found["points"].as_u64() > Some(5), "{line} {expiry}: {found}");
        }
    }
}

pub async fn a_change_is_shown_and_kept_in_the_address(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/options", explorer.url())).await;
    let last = shown(browser).await;
    browser.press(Key::Letter('[')).await;
    browser.ready().await;
    let before = shown(browser).await;
    let address = browser.address().await;
    assert!(before != last && address.starts_with("/options?at=20200408"), "{address}");

    // All at once, so that it is asked for once: what comes later would take the place of what is chosen.
    browser.fill("#underlying", "val").await;
    browser.until("there are suggestions", "return document.querySelector('[data-name=VALE3]') !== null").await;
    browser.press(Key::Down).await;
    browser.press(Key::Enter).await;
    browser.ready().await;
    let address = browser.address().await;
    assert!(address.ends_with("&underlying=VALE3"), "{address}");
    assert!(browser.text("#heading").await.starts_with("VALE3 at 2020-04-08"));
    let vale = shown(browser).await;
    browser.open_view(&format!("{}{address}", explorer.url())).await;
    assert_eq!(shown(browser).await, vale, "the address says all of it");
    browser.back().await;
    browser.ready().await;
    assert_eq!(shown(browser).await, before, "back goes back");
}

pub async fn missing_options_are_reported(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/options?underlying=PERT4", explorer.url())).await;
    let told = browser.text("[data-absent=PERT4]").await;
    assert!(told.contains("There is no underlying PERT4") && told.contains("PETR4"), "{told}");
    browser.click("[data-absent=PERT4] button").await;
    browser.ready().await;
    assert_eq!(browser.address().await, "/options?underlying=PETR4");

    // A time at which there is no snapshot in any lake: nobody saves them at night.
    browser.open_view(&format!("{}/options?underlying=PETR4&at=202004080300", explorer.url())).await;
    let told = browser.text("#absent").await;
    assert!(told.contains("PETR4 has no options at 2020-04-08 03:00"), "{told}");
    browser.click("#absent button").await;
    browser.ready().await;
    assert!(!shown(browser).await.is_empty());

    browser.open_view(&format!("{}/options?day=2020-04-04", explorer.url())).await;
    let told = browser.text("#absent").await;
    assert!(told.contains("2020-04-04 is not published") && told.contains("from 2020-04-01 to 2020-04-08"), "{told}");
}
