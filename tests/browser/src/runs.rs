//! The workflows and their executions.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::{Browser, Key};
use crate::lake::Home;

/// The definition of a workflow as the repository has it.
fn definition(workflow: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachines");
    let text = std::fs::read_to_string(folder.join(format!("{workflow}.asl.json"))).expect("a definition");
    serde_json::from_str(&text).expect("JSON")
}

/// Every state of a machine, those of its branches as well, and how many ways there are between them all, from each
/// start and to each end.
fn states_and_ways(machine: &Value) -> (BTreeSet<String>, usize) {
    let mut names = BTreeSet::new();
    let mut ways = 1;
    for (name, state) in machine["States"].as_object().expect("states") {
        names.insert(name.clone());
        let listed = |key: &str| state[key].as_array().map_or(0, Vec::len);
        let ends = state["End"] == true || state["Type"] == "Succeed" || state["Type"] == "Fail";
        ways += listed("Choices") + listed("Catch") + usize::from(ends);
        ways += usize::from(state["Next"].is_string()) + usize::from(state["Default"].is_string());
        let machines = state["Branches"].as_array().into_iter().flatten().chain(state.get("ItemProcessor"));
        for machine in machines {
            let (inner, between) = states_and_ways(machine);
            names.extend(inner);
            ways += between;
        }
    }
    (names, ways)
}

/// The values of a `data-` attribute of all elements.
async fn data(browser: &Browser, css: &str, name: &str) -> Vec<String> {
    let script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.dataset[arguments[1]])";
    serde_json::from_value(browser.script(script, vec![css.into(), name.into()]).await).expect("texts")
}

pub async fn graphs_are_those_of_the_definitions(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/runs", explorer.url())).await;
    for workflow in ["upload_raw_data", "create_datalake", "backfill", "athena_update"] {
        let (names, ways) = states_and_ways(&definition(workflow));
        let plan = format!(".plan[data-workflow=\"{workflow}\"]");
        let shown = data(browser, &format!("{plan} [data-state-name]"), "stateName").await;
        assert_eq!(shown.len(), names.len(), "{workflow}: each state once");
        assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), names, "{workflow}");
        let script = "return document.querySelectorAll(arguments[0]).length";
        let drawn = browser.script(script, vec![format!("{plan} .edge").into()]).await;
        assert_eq!(drawn, json!(ways), "{workflow}: each way once");
    }
    // No state lies on another, but for those within a box.
    let script =
        "const boxes = [...document.querySelectorAll('.state:not(.box)')].map((e) => e.getBoundingClientRect());
        return boxes.some((a, at) => boxes.slice(at + 1).some((b) =>
          a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom))";
    assert_eq!(browser.script(script, vec![]).await, json!(false), "states overlap");
    browser.shot("plans").await;

    // A phone shows it whole.
    browser.resize(500, 800).await;
    browser.open_view(&format!("{}/runs?workflow=create_datalake", explorer.url())).await;
    let script = "return document.documentElement.scrollWidth <= innerWidth
        && [...document.querySelectorAll('svg.machine')].every((e) => e.getBoundingClientRect().right <= innerWidth)";
    assert_eq!(browser.script(script, vec![]).await, json!(true), "it is wider than the phone");
    // What a state is made of, by keyboard.
    browser.script("document.querySelector('[data-state-name=\"PollStep\"]').focus()", vec![]).await;
    browser.press(Key::Enter).await;
    browser.ready().await;
    assert!(browser.address().await.contains("state=PollStep"));
    assert!(browser.texts(".plan summary").await.contains(&"Definition".to_owned()));
    browser.shot("phone").await;
}

/// Starts a run by the form, which is open, and gives its name.
async fn confirm(browser: &Browser) -> String {
    browser.click("#start-check").await;
    browser.until("the input is checked", "return document.querySelector('#start-confirm')?.disabled === false").await;
    browser.click("#start-confirm").await;
    browser.until("the run is shown", "return document.querySelector('.execution[data-run]') !== null").await;
    data(browser, ".execution", "run").await.remove(0)
}

async fn until_status(browser: &Browser, status: &str) {
    let script = "return !['RUNNING', undefined].includes(document.querySelector('.execution')?.dataset.status)";
    browser.until("the run is over", script).await;
    let said = browser.texts("#failure").await;
    assert_eq!(data(browser, ".execution", "status").await, [status], "{said:?}");
}

/// The states of a run as `pregao runs` tells them: those of the run itself, in their order.
fn visits(home: &Home, run: &str) -> Vec<String> {
    let told = home.pregao(&["runs", run]);
    let lines = told.lines().skip_while(|line| !line.starts_with('─')).skip(1).take_while(|line| !line.is_empty());
    let own = lines.filter(|line| !line.starts_with(' '));
    own.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect()
}

pub async fn a_run_is_started_stopped_and_watched_to_its_end(_: &Shared, browser: &Browser) {
    let home = Home::new("runs");
    home.sample(1, "2020-04-01");
    home.upload();
    // So that neither the stopping nor the watching comes too late, however fast the run and slow the browser.
    let _endpoint = home.local_with_held_steps();
    let explorer = home.explore();
    browser.open_view(&format!("{}/runs", explorer.url())).await;

    // By keyboard alone it opens; and what it would do is told first.
    browser.press(Key::Letter('n')).await;
    browser.fill("#start-from", "2020-04-01").await;
    browser.click("#start-check").await;
    browser.until("it is told", "return document.querySelector('#start-confirm')?.disabled === false").await;
    assert!(browser.text(".confirm").await.contains("create_datalake of 2020-04-01"));
    let stopped = confirm(browser).await;
    browser.click_until("#stop", "it is asked", "return document.querySelector('#stop-confirm') !== null").await;
    browser.click("#stop-confirm").await;
    until_status(browser, "ABORTED").await;
    assert!(browser.text("#failure").await.contains("stopped in the explorer"));
    assert!(home.pregao(&["runs", &stopped]).contains("ABORTED"));

    browser.click("#start-open").await;
    browser.fill("#start-to", "2020-04-01").await;
    browser.script(
        "window.outcomes = new Set();
        new MutationObserver(() => document.querySelectorAll('.execution .state').forEach((e) => outcomes.add(e.dataset.outcome)))
          .observe(document.getElementById('shown'), { childList: true, subtree: true });",
        vec![],
    )
    .await;
    // The one before is still shown.
    browser.script("document.querySelector('.execution').removeAttribute('data-run')", vec![]).await;
    let run = confirm(browser).await;
    assert_ne!(run, stopped);
    browser.until("it is seen to run", "return outcomes.has('running')").await;
    home.let_steps_go();
    until_status(browser, "SUCCEEDED").await;

    // All states that it passed are coloured, and no others.
    let visits = visits(&home, &run);
    assert!(visits.iter().any(|state| state == "Publish quotes"), "{visits:?}");
    let coloured = data(browser, ".execution .state[data-outcome=succeeded]", "stateName").await;
    let passed: BTreeSet<String> = visits.iter().cloned().collect();
    assert_eq!(coloured.into_iter().collect::<BTreeSet<_>>(), passed);
    let rest = data(browser, ".execution .state:not([data-outcome=succeeded])", "outcome").await;
    assert!(!rest.is_empty() && rest.iter().all(|outcome| outcome == "none"), "{rest:?}");
    assert_eq!(browser.texts("#visits tbody tr td:first-child").await, visits);
    let list = format!("#executions a[data-run=\"{run}\"][data-status=SUCCEEDED]");
    browser.until("the list knows it", &format!("return document.querySelector('{list}') !== null")).await;
    browser.shot("succeeded").await;

    // What it started, and back.
    assert_eq!(browser.texts("#nested tbody tr").await.len(), 3);
    browser.click("#nested a").await;
    browser
        .until(
            "it is shown",
            "return document.querySelector('.execution [data-state-name=CreateAthenaTable]') !== null",
        )
        .await;
    assert_eq!(data(browser, ".execution", "status").await, ["SUCCEEDED"]);
    browser.back().await;
    browser
        .until(
            "the first is shown again",
            &format!("return document.querySelector('.execution')?.dataset.run === '{run}'"),
        )
        .await;

    // The list by status.
    browser.fill("#status", "ABORTED").await;
    browser.ready().await;
    assert_eq!(data(browser, "#executions a", "run").await, [stopped]);
}

pub async fn a_failure_is_shown_with_its_report(_: &Shared, browser: &Browser) {
    browser.expect_refusals();
    let home = Home::new("failing");
    home.sample(1, "2020-04-01");
    home.upload();
    let explorer = home.explore_with(&["--set", "quality.max_reject_share=0"]);
    browser.open_view(&format!("{}/runs?workflow=create_datalake", explorer.url())).await;
    browser.click("#start-open").await;
    browser.fill("#start-mode", "json").await;

    // What makes no sense is not started.
    for (input, words) in [("{\"date\": \"2020-4-1\"}", "no day of the form"), ("{\"date\"", "no JSON")] {
        browser.fill("#start-input", input).await;
        browser.click("#start-check").await;
        let said = browser.failure().await;
        assert!(said.contains("InvalidInput") && said.contains(words), "{said}");
    }
    assert!(data(browser, "#executions a", "run").await.is_empty());

    // The name of the error, its cause, and the report that the cause names.
    browser.fill("#start-input", "{\"date\": \"2020-04-01\"}").await;
    let run = confirm(browser).await;
    until_status(browser, "FAILED").await;
    let said = browser.text("#failure").await;
    assert!(said.contains("QualityError") && said.contains("rejected_cells"), "{said}");
    assert_eq!(data(browser, "[data-state-name=Outcome]", "outcome").await, ["failed"]);
    browser.click("#failure .document button").await;
    browser.until("the report is read", "return document.querySelector('.document-text') !== null").await;
    assert!(browser.text(".document-text").await.contains("\"passed\": false"));
    browser.shot("failed").await;
    browser.click("#quality-link").await;
    browser.until("its checks are shown", "return document.querySelector('#report') !== null").await;
    browser.ready().await;
    assert_eq!(data(browser, "#report", "run").await, [run]);
    assert_eq!(data(browser, "[data-report=quotes]", "passed").await, ["false"]);
    assert_eq!(data(browser, "[data-check=\"quotes/rejected_cells\"]", "passed").await, ["false"]);

    // An input that only the first function can refuse.
    browser.open_view(&format!("{}/runs?workflow=create_datalake", explorer.url())).await;
    browser.click("#start-open").await;
    browser.fill("#start-mode", "json").await;
    let event = json!({"detail-type": "Object Created", "source": "aws.s3",
        "detail": {"bucket": {"name": "pregao-raw"}, "object": {"key": "landing/a.csv"}}});
    browser.fill("#start-input", &event.to_string()).await;
    confirm(browser).await;
    until_status(browser, "FAILED").await;
    let said = browser.text("#failure").await;
    assert!(said.contains("InvalidInput") && said.contains("a.csv"), "{said}");
    assert_eq!(data(browser, "[data-state-name=PlanRun]", "outcome").await, ["caught"]);
    assert_eq!(data(browser, "[data-state-name=InputRefused]", "outcome").await, ["failed"]);
}

pub async fn a_stopped_endpoint_is_reported(_: &Shared, browser: &Browser) {
    browser.expect_refusals();
    let home = Home::new("stopped");
    let endpoint = home.local();
    let explorer = home.explore();
    browser.open_view(&format!("{}/runs", explorer.url())).await;
    assert!(browser.text("#executions .empty").await.contains("pregao upload"));
    drop(endpoint);
    browser.fill("#status", "FAILED").await;
    let said = browser.failure().await;
    assert!(said.contains("Does the lake's endpoint still run?"), "{said}");
    browser.shot("stopped").await;
}

pub async fn older_pages_hold_still(_: &Shared, browser: &Browser) {
    let home = Home::new("pages");
    let _endpoint = home.local();
    for number in 10..35 {
        home.start_failing(&format!("before-{number}"));
    }
    let explorer = home.explore();
    browser.open_view(&format!("{}/runs", explorer.url())).await;
    let listed = "return [...document.querySelectorAll('.executions li')].map((one) => one.innerText.match(/(before|since)-\\d+/)?.[0])";
    let first = browser.script(listed, vec![]).await;
    assert_eq!(first.as_array().map(Vec::len), Some(20), "{first}");
    // More are started while somebody reads the first page.
    for number in 10..13 {
        home.start_failing(&format!("since-{number}"));
    }
    browser.click("#older").await;
    browser
        .until("it is the second page", "return document.querySelector('.pages span')?.innerText === 'page 2'")
        .await;
    let second = browser.script(listed, vec![]).await;
    assert_eq!(second, json!(["before-14", "before-13", "before-12", "before-11", "before-10"]), "behind {first}");
    browser.click("#newer").await;
    browser.until("it is the first page", "return document.querySelector('.pages span')?.innerText === 'page 1'").await;
    let now = browser.script(listed, vec![]).await;
    assert_eq!(now[0], json!("since-12"), "the first page is that of now: {now}");
}
