//! What is published while a page is open.

use std::time::Duration;

use crate::Shared;
use crate::browser::Browser;
use crate::lake::Home;

/// Whether the header tells of a snapshot of this day as the newest one.
fn newest_is_of(day: &str) -> String {
    format!("return document.querySelector('#fresh').dataset.intdate?.startsWith('{}') ?? false", day.replace('-', ""))
}

/// Publishes the business days up to this one, of which those before it are published.
fn publish(home: &Home, days: u32, day: &str) {
    home.sample(days, "2020-04-01");
    home.upload();
    home.pregao(&["run", "--from", day]);
}

pub async fn what_is_published_appears_by_itself(_: &Shared, browser: &Browser) {
    let home = Home::new("live");
    let explorer = home.explore();
    browser.open_view(&format!("{}/series", explorer.url())).await;
    assert_eq!(browser.texts(".empty").await.len(), 1, "nothing is published");
    for (view, shows) in [
        ("series", "return document.querySelector('#to')?.value === 'DAY'"),
        ("quality", "return document.querySelector('#part-calendar [data-date=\"DAY\"]') !== null"),
        ("days", "return document.querySelector('tr[data-date=\"DAY\"]')?.dataset.state === 'published'"),
    ] {
        let (number, day) = match view {
            "series" => (1, "2020-04-01"),
            "quality" => (2, "2020-04-02"),
            _ => (3, "2020-04-03"),
        };
        browser.open_view(&format!("{}/{view}", explorer.url())).await;
        publish(&home, number, day);
        browser.until(&format!("the header tells of {day}"), &newest_is_of(day)).await;
        browser.until(&format!("{view} shows {day}"), &shows.replace("DAY", day)).await;
    }
    let text = browser.text("#fresh").await;
    assert!(text.starts_with("Newest snapshot 2020-04-03 ") && text.ends_with("years ago"), "{text}");
    browser.shot("fresh").await;
}

pub async fn nobody_is_disturbed_while_writing(_: &Shared, browser: &Browser) {
    let home = Home::new("writing");
    home.publish(1, "2020-04-01", "2020-04-01");
    let explorer = home.explore();
    browser.open_view(&format!("{}/series", explorer.url())).await;
    browser.click("#ticker").await;
    browser.type_into("#ticker", "VAL").await;
    publish(&home, 2, "2020-04-02");
    browser.until("the header tells of it", &newest_is_of("2020-04-02")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let written = "return [document.querySelector('#ticker').value, document.querySelector('#to').value]";
    assert_eq!(browser.script(written, vec![]).await, serde_json::json!(["VAL", "2020-04-01"]));
    browser.script("document.activeElement.blur()", vec![]).await;
    browser.until("the view shows it", "return document.querySelector('#to').value === '2020-04-02'").await;
}
