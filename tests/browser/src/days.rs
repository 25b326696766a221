//! The days: what each is, by the calendar, the list and the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::Shared;
use crate::browser::Browser;
use crate::lake::Home;

/// The state of each day, by `pregao status`.
fn states(home: &Home) -> BTreeMap<String, String> {
    let told: Vec<Value> = serde_json::from_str(&home.pregao(&["status", "--format", "json"])).expect("an array");
    let text = |day: &Value, field: &str| day[field].as_str().expect("text").to_owned();
    told.iter().map(|day| (text(day, "day"), text(day, "state"))).collect()
}

/// What the page shows of each day, in this part of it: the calendar has `data-day`, the list `data-date`.
async fn shown(browser: &Browser, css: &str, attribute: &str) -> BTreeMap<String, String> {
    let script =
        "return [...document.querySelectorAll(arguments[0])].map((e) => [e.dataset[arguments[1]], e.dataset.state])";
    let found = browser.script(script, vec![css.into(), attribute.into()]).await;
    serde_json::from_value::<Vec<(String, String)>>(found).expect("pairs").into_iter().collect()
}

/// A raw file of the second day, which comes late.
fn late(home: &Home) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![home.raw()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("20200402") && path.to_string_lossy().contains("flashpanel") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.pop().expect("a raw file of the day")
}

pub async fn days_are_those_of_pregao_status(_: &Shared, browser: &Browser) {
    let home = Home::new("days");
    home.sample(4, "2020-04-01");
    let path = late(&home);
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let aside = home.raw().with_file_name(&name);
    fs::rename(&path, &aside).expect("a file can be moved");
    home.upload();
    home.pregao(&["run", "--from", "2020-04-01", "--to", "2020-04-03"]);
    fs::rename(&aside, &path).expect("a file can be moved back");
    home.upload();
    let told = states(&home);
    let state = |day: &str| told[day].as_str();
    assert_eq!((state("2020-04-01"), state("2020-04-02"), state("2020-04-06")), ("published", "stale", "unpublished"));

    let explorer = home.explore();
    browser.open_view(&format!("{}/days", explorer.url())).await;
    assert_eq!(shown(browser, ".cell", "day").await, told, "the calendar");
    assert_eq!(shown(browser, "#days tbody tr", "date").await, told, "the list");
    let row = "#days tr[data-date=\"2020-04-02\"]";
    assert!(browser.text(row).await.contains(&format!("late {name}")));
    let command = browser.text(&format!("{row} code")).await;
    let program = format!("pregao --home {}", home.state().display());
    assert_eq!(command, format!("{program} run --stale --from 2020-04-02 --to 2020-04-02"));
    assert_eq!(browser.text("#next code").await, format!("{program} run --stale"));
    browser.shot("days").await;

    // It is copied, or selected where the browser does not let it be copied.
    let copies = "return ['Copied', 'Selected'].includes(document.querySelector('#next .copy').textContent)";
    browser.click_until("#next .copy", "the command is copied", copies).await;

    // What is chosen is in the address, and can be gone back from.
    browser.click("[data-chip=stale]").await;
    browser.ready().await;
    assert_eq!(shown(browser, "#days tbody tr", "date").await.into_keys().collect::<Vec<_>>(), ["2020-04-02"]);
    assert!(browser.address().await.contains("state=stale"));
    browser.click("[data-chip=stale]").await;
    browser.ready().await;
    browser.click(".cell[data-day=\"2020-04-03\"]").await;
    browser.ready().await;
    assert_eq!(shown(browser, "#days tbody tr", "date").await.into_keys().collect::<Vec<_>>(), ["2020-04-03"]);

    // The run that published the day, and the quality of its files.
    browser.click("#days tbody a[href^=\"/runs\"]").await;
    browser.ready().await;
    let run = home.pregao(&["status", "--format", "json", "--from", "2020-04-03", "--to", "2020-04-03"]);
    let run: Vec<Value> = serde_json::from_str(&run).expect("an array");
    assert!(browser.text("main").await.contains(run[0]["run"].as_str().expect("a run")));
    browser.back().await;
    browser.ready().await;
    browser.click("#days tbody a[href^=\"/quality\"]").await;
    browser.ready().await;
    browser.until("the day is shown", "return document.querySelector('#day[data-day=\"2020-04-03\"]') !== null").await;
}

pub async fn many_days_are_shown_bit_by_bit(_: &Shared, browser: &Browser) {
    let home = Home::new("many-days");
    home.sample(1, "2020-04-01");
    home.upload();
    let explorer = home.explore();
    browser.open_view(&format!("{}/days?from=2010-01-04&to=2020-04-01", explorer.url())).await;
    let count = "return Number(document.querySelectorAll(arguments[0]).length)";
    let cells = browser.script(count, vec![".cell".into()]).await.as_u64().expect("a number");
    assert!(cells > 2_500, "every business day of ten years is in the calendar: {cells}");
    assert_eq!(browser.script(count, vec!["#days tbody tr".into()]).await, 100);
    browser.click("#more").await;
    browser.ready().await;
    assert_eq!(browser.script(count, vec!["#days tbody tr".into()]).await, 200);
    browser.shot("many-days").await;
}
