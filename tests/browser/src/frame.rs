//! The frame around the views.

use serde_json::Value;

use crate::Shared;
use crate::browser::{Browser, Key};
use crate::lake::Home;

pub async fn views_are_reached_by_keyboard(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(explorer.url()).await;
    assert_eq!(browser.address().await.split('?').next(), Some("/series"));
    for (key, view) in
        [('2', "/options"), ('3', "/quality"), ('4', "/runs"), ('5', "/sql"), ('6', "/days"), ('1', "/series")]
    {
        browser.press(Key::Letter(key)).await;
        browser.ready().await;
        assert_eq!(browser.address().await.split('?').next(), Some(view));
        assert_eq!(browser.texts("nav a[aria-current]").await.len(), 1);
    }
    browser.shot("series").await;
}

pub async fn keys_are_listed(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(&format!("{}/sql", explorer.url())).await;
    browser.press(Key::Letter('?')).await;
    browser.until("the list is open", "return document.querySelector('#keys').open").await;
    let list = browser.text("#keys").await;
    assert!(list.contains("the views") && list.contains("runs the statement"), "{list}");
    browser.shot("keys").await;
    // Keys of the views mean nothing while it is open.
    browser.press(Key::Letter('1')).await;
    browser.press(Key::Escape).await;
    browser.until("the list is closed", "return !document.querySelector('#keys').open").await;
    assert_eq!(browser.address().await.split('?').next(), Some("/sql"));
    // Nor in a field, where they are letters.
    browser.press(Key::Letter('/')).await;
    browser.press(Key::Letter('1')).await;
    assert_eq!(browser.address().await.split('?').next(), Some("/sql"));
}

pub async fn colours_and_formats_are_kept(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    let url = format!("{}/sql?sql=SELECT+1234.5+AS+x%2C+DATE+%272020-04-01%27+AS+day", explorer.url());
    browser.open_view(&url).await;
    let theme = "return document.documentElement.dataset.theme ?? null";
    assert_eq!(browser.script(theme, vec![]).await, Value::Null);
    browser.click("#theme").await;
    let chosen = browser.script(theme, vec![]).await;
    assert!(chosen == "dark" || chosen == "light", "{chosen}");
    browser.click("#run").await;
    browser.ready().await;
    assert_eq!(browser.texts("#rows td").await[0], "1,234.5");
    assert!(browser.text("[data-table=quotes] summary").await.contains("2020-04-01"));

    browser.fill("#locale", "pt-BR").await;
    browser.ready().await;
    let is_brazilian = async || {
        assert_eq!(browser.texts("#rows td").await[0], "1.234,5");
        assert!(browser.text("[data-table=quotes] summary").await.contains("01/04/2020"));
    };
    is_brazilian().await;
    browser.shot("brazil").await;
    let address = browser.address().await;
    browser.open_view(&format!("{}{address}", explorer.url())).await;
    assert_eq!(browser.script(theme, vec![]).await, chosen);
    is_brazilian().await;
}

pub async fn an_empty_lake_says_what_to_do(_: &Shared, browser: &Browser) {
    let home = Home::new("empty");
    let explorer = home.explore();
    for view in ["series", "options", "quality", "runs", "sql", "days"] {
        browser.open_view(&format!("{}/{view}", explorer.url())).await;
        let said = browser.text("main").await;
        assert!(said.contains("pload"), "{view} does not say that there is something to upload: {said}");
        browser.shot(view).await;
    }
}

pub async fn a_phone_is_wide_enough(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.resize(375, 800).await;
    for view in ["series", "options", "quality", "runs", "sql", "days"] {
        browser.open_view(&format!("{}/{view}", explorer.url())).await;
        let excess = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.script(excess, vec![]).await, 0, "{view} is wider than its window");
        let hidden = "return [...document.querySelectorAll('nav a')].filter(a => a.getBoundingClientRect().right > innerWidth).length";
        assert_eq!(browser.script(hidden, vec![]).await, 0, "{view}: not all views can be seen");
        browser.shot(view).await;
    }
}
