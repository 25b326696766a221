//! The frame around the views.

use crate::Shared;
use crate::browser::{Browser, Key};

pub async fn views_are_reached_by_keyboard(shared: &Shared, browser: &Browser) {
    let (_, explorer) = shared.published();
    browser.open_view(explorer.url()).await;
    assert_eq!(browser.address().await.split('?').next(), Some("/series"));
    for (key, view) in [('2', "/options"), ('3', "/quality"), ('4', "/runs"), ('5', "/sql"), ('1', "/series")] {
        browser.press(Key::Letter(key)).await;
        browser.ready().await;
        assert_eq!(browser.address().await.split('?').next(), Some(view));
        assert_eq!(browser.texts("nav a[aria-current]").await.len(), 1);
    }
    browser.shot("series").await;
}
