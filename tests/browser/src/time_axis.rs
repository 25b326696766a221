//! The labels of the time axis: each names the place that it stands below, and no window is without a date.

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::{Browser, Key};

/// The labels that are drawn below the lowest panel, each with the name of the place that it stands below; the window; and
/// those of its slots with which a day begins.
const AXIS: &str = "
    const { chart } = document.getElementById('series-chart');
    const option = chart.getOption();
    const axis = option.xAxis[0].data;
    const [{ startValue, endValue }] = option.dataZoom;
    const { top, height } = option.grid.at(-1);
    const last = option.grid.length - 1;
    const labels = chart.getZr().storage.getDisplayList(true).flatMap((one) => {
      const text = one.style?.text;
      if (one.ignore || one.invisible || !/^[0-9]{4}-|^[0-9]{2}:[0-9]{2}$/.test(text ?? '')) return [];
      const [x, y] = one.transformCoordToGlobal(one.style.x, one.style.y);
      if (y < top + height || y > top + height + 34) return [];
      const box = one.getBoundingRect();
      const [left] = one.transformCoordToGlobal(box.x, box.y);
      const at = chart.convertFromPixel({ xAxisIndex: last, yAxisIndex: last }, [left + box.width / 2, 0])[0];
      return [{ text, name: axis[at], left, right: left + box.width }];
    });
    const begins = axis.slice(startValue, endValue + 1).filter((name, at) =>
      /^[0-9]+$/.test(name) && !/^[0-9]+$/.test(axis[startValue + at - 1] ?? 'night'));
    return { labels: labels.sort((a, b) => a.left - b.left), begins, window: [axis[startValue], axis[endValue]], width: chart.getWidth() };";

/// Looks at the labels of the window that is shown; returns how many it has.
async fn look(browser: &Browser, every_day: bool) -> usize {
    let shown = browser.script(AXIS, vec![]).await;
    let labels = shown["labels"].as_array().expect("labels");
    let text = |label: &Value, field: &str| label[field].as_str().unwrap_or_default().to_owned();
    let date = |name: &str| format!("{}-{}-{}", &name[..4], &name[4..6], &name[6..8]);
    let mut dates = 0;
    for label in labels {
        let (told, name) = (text(label, "text"), text(label, "name"));
        assert!(name.len() == 12, "{told} stands below no slot: {shown}");
        let time = format!("{}:{}", &name[8..10], &name[10..]);
        assert!(
            [date(&name), time.clone(), format!("{} {time}", date(&name))].contains(&told),
            "{told} stands below {name}: {shown}"
        );
        dates += usize::from(told.len() >= 10);
    }
    assert!(dates > 0, "no label has a date: {shown}");
    for pair in labels.windows(2) {
        assert!(pair[0]["right"].as_f64() < pair[1]["left"].as_f64(), "two labels overlap: {shown}");
    }
    assert!(labels.iter().all(|label| label["left"].as_f64() >= Some(0.0)), "a label is cut off: {shown}");
    assert!(
        labels.iter().all(|label| label["right"].as_f64() <= shown["width"].as_f64()),
        "a label is cut off: {shown}"
    );
    if every_day {
        for begins in shown["begins"].as_array().expect("slots") {
            let named = labels.iter().find(|label| label["name"] == *begins);
            let told = named.map(|label| text(label, "text")).unwrap_or_default();
            assert_eq!(told, date(begins.as_str().expect("a name")), "a day begins at {begins}: {shown}");
        }
    }
    labels.len()
}

const DAYS: &str = "from=2020-04-01&to=2020-04-08";

pub async fn every_day_of_a_window_has_its_date(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    for zoom in [
        "",
        "202004011000-202004021650",
        "202004011500-202004021130",
        "202004021420-202004031040",
        "202004071610-202004081000",
        "202004021200-202004061530",
        "202004031230-202004031500",
        "202004081610-202004081650",
    ] {
        for scale in ["", "&scale=rebased"] {
            let address = format!("{}/series?ticker=PETR4&ticker=VALE3&{DAYS}{scale}&zoom={zoom}", explorer.url());
            browser.open_view(&address).await;
            look(browser, true).await;
        }
    }
    browser.shot("zoomed").await;
    // On a phone as well, where not all dates have room.
    browser.resize(375, 800).await;
    for zoom in ["", "202004021420-202004031040", "202004031230-202004031500"] {
        browser.open_view(&format!("{}/series?ticker=PETR4&{DAYS}&zoom={zoom}", explorer.url())).await;
        look(browser, false).await;
    }
    browser.shot("phone").await;
}

pub async fn labels_follow_the_window_while_it_is_zoomed(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/series?ticker=PETR4&{DAYS}", explorer.url())).await;
    let mut window = browser.script(AXIS, vec![]).await["window"].clone();
    for key in ['+', '+', '+', '+', '+', '+', '-', '-', '-'] {
        browser.press(Key::Letter(key)).await;
        let changed = format!("return JSON.stringify((() => {{ {AXIS} }})().window) !== '{window}'");
        // The smallest window stays as it is.
        if look(browser, true).await > 0 && key == '-' {
            browser.until("the window is another", &changed).await;
        }
        window = browser.script(AXIS, vec![]).await["window"].clone();
        look(browser, true).await;
    }
}

/// The labels that the page's own function chooses: `[name, text]`, for days with slots from 10:00 on.
const CHOSEN: &str = "
    const [days, slots, window, room] = arguments;
    return import('/assets/pages/series/model.js').then(({ model }) =>
      import('/assets/pages/series/labels.js').then(({ labels }) => {
        const answer = { instruments: [], spread: null, days: days.map((date) => ({ date, slots: Array.from({ length: slots },
          (_, at) => Number(date.replaceAll('-', '')) * 10000 + (10 + Math.floor(at / 6)) * 100 + (at % 6) * 10) })) };
        const made = model(answer);
        return [...labels(made, window ?? [0, made.axis.length - 1], room)];
      }));";

pub async fn labels_are_chosen_by_day_and_room(_: &Shared, browser: &Browser) {
    let home = crate::lake::Home::new("labels");
    let explorer = home.explore();
    browser.open_view(explorer.url()).await;
    let chosen = async |days: &[&str], slots: u32, window: Value, room: u32| {
        browser.script(CHOSEN, vec![json!(days), slots.into(), window, room.into()]).await
    };
    let days = ["2020-04-01", "2020-04-02"];
    // Both days whole: their dates, and hours between.
    let both = chosen(&days, 12, json!(null), 1000).await;
    assert_eq!(
        both,
        json!([
            ["202004011000", "2020-04-01"],
            ["202004021000", "2020-04-02"],
            ["202004011100", "11:00"],
            ["202004021100", "11:00"],
        ])
    );
    // The window begins within a day.
    let cut = chosen(&days, 12, json!([4, 9]), 400).await;
    assert_eq!(cut[0], json!(["202004011040", "2020-04-01 10:40"]));
    // The place between two days has no label, and is no day.
    assert_eq!(chosen(&days, 3, json!([3, 3]), 400).await, json!([]));
    assert_eq!(chosen(&days, 3, json!([3, 4]), 400).await, json!([["202004021000", "2020-04-02"]]));
    // Where a day begins is named, rather than the end of the day before.
    assert_eq!(chosen(&days, 12, json!([11, 14]), 120).await, json!([["202004021000", "2020-04-02"]]));
    // No room for any but one, and a day without slots.
    assert_eq!(chosen(&days, 12, json!(null), 10).await, json!([["202004011000", "2020-04-01"]]));
    assert_eq!(chosen(&days, 0, json!(null), 1000).await, json!([]));
}
