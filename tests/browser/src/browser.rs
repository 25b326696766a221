//! A headless Chromium, and what tests do with a page.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use futures::FutureExt;
use http::Method;
use serde_json::{Map, Value, json};
use url::{ParseError, Url};

use crate::{Shared, Test};

/// How long a page may take for what a test waits for: far beyond what it takes, on a busy machine as well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test in a browser of its own, and looks at the console in the end.
pub fn run(name: &str, shared: &Shared, test: Test) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let browser = Browser::open(name).await;
        let outcome = AssertUnwindSafe(test(shared, &browser)).catch_unwind().await;
        if outcome.is_err() {
            browser.shot("failed").await;
        }
        let complaints = browser.complaints().await;
        browser.close().await;
        if let Err(panic) = outcome {
            eprintln!("{name}: the console said {complaints:?}");
            resume_unwind(panic);
        }
        assert!(complaints.is_empty(), "the console said {complaints:#?}");
    });
}

/// A browser with one window.
pub struct Browser {
    client: Client,
    // The driver is ended behind the client.
    _driver: Driver,
    name: String,
    refusals_expected: Cell<bool>,
}

/// A key that has no letter.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Enter,
    Escape,
    Tab,
    Down,
    Letter(char),
}

impl Key {
    /// As WebDriver codes it.
    fn code(self) -> char {
        match self {
            Key::Enter => '\u{e007}',
            Key::Escape => '\u{e00c}',
            Key::Tab => '\u{e004}',
            Key::Down => '\u{e015}',
            Key::Letter(letter) => letter,
        }
    }
}

/// What holds Ctrl while other keys are pressed.
const CONTROL: char = '\u{e009}';

impl Browser {
    async fn open(name: &str) -> Self {
        let driver = Driver::start();
        let arguments = [
            "--headless=new",
            // The tests may run as root; the pages are this program's own.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--force-device-scale-factor=1",
            "--window-size=1280,900",
            "--lang=en",
        ];
        let mut capabilities = Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), json!({ "args": arguments, "binary": find("chromium") }));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url)
            .await
            .expect("chromedriver starts chromium");
        Self { client, _driver: driver, name: name.to_owned(), refusals_expected: Cell::new(false) }
    }

    async fn close(self) {
        // The driver goes with the session in any case.
        let _ = self.client.close().await;
    }

    /// Opens an address, and waits until the view has drawn all that belongs to its first picture.
    pub async fn open_view(&self, url: &str) {
        self.client.goto(url).await.expect("the page is there");
        self.ready().await;
    }

    /// Opens an address of any page.
    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("the page is there");
    }

    /// Waits until the view has nothing more to do. An error that it shows fails the test.
    pub async fn ready(&self) {
        let state = self.state().await;
        if state != "ready" {
            let said = self.texts(".failure").await;
            panic!("the view is in the state {state:?}: {said:?}");
        }
    }

    /// Waits until the view shows an error, and gives its text.
    pub async fn failure(&self) -> String {
        self.until("an error is shown", "return document.querySelector('.failure') !== null").await;
        self.text(".failure").await
    }

    async fn state(&self) -> String {
        let script = "return !['loading', undefined].includes(document.documentElement.dataset.state)";
        self.until("the view has loaded", script).await;
        let state = self.script("return document.documentElement.dataset.state", vec![]).await;
        state.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a script returns true.
    pub async fn until(&self, what: &str, script: &str) {
        let begun = Instant::now();
        while self.script(script, vec![]).await != Value::Bool(true) {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a script returns, `arguments` being its arguments. A promise is waited for.
    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The visible text of the first element.
    pub async fn text(&self, css: &str) -> String {
        self.client
            .find(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"))
            .text()
            .await
            .expect("an element has a text")
    }

    /// The visible texts of all elements.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let found = self
            .script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", vec![css.into()])
            .await;
        serde_json::from_value(found).expect("texts")
    }

    /// Clicks the first element, as a mouse does.
    pub async fn click(&self, css: &str) {
        let element = self.client.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("clicking {css}: {error}"));
    }

    /// Clicks the first element until a script returns true. A page that draws itself again and again may take an element
    /// away under the mouse.
    pub async fn click_until(&self, css: &str, what: &str, script: &str) {
        let begun = Instant::now();
        while self.script(script, vec![]).await != Value::Bool(true) {
            assert!(begun.elapsed() < PATIENCE, "{css} was clicked in vain: waited until {what}");
            let clicked = match self.client.find(Locator::Css(css)).await {
                Ok(element) => element.click().await,
                Err(error) => Err(error),
            };
            if clicked.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Puts a text in place of that of a field, and tells the page of it as typing does.
    pub async fn fill(&self, css: &str, text: &str) {
        let script = "const field = document.querySelector(arguments[0]); field.focus(); field.value = arguments[1];
            field.dispatchEvent(new Event('input', { bubbles: true }));
            field.dispatchEvent(new Event('change', { bubbles: true }));";
        self.script(script, vec![css.into(), text.into()]).await;
    }

    /// Types into the first element, key by key.
    pub async fn type_into(&self, css: &str, text: &str) {
        let element = self.client.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"));
        element.send_keys(text).await.unwrap_or_else(|error| panic!("typing into {css}: {error}"));
    }

    /// Presses a key where the focus is.
    pub async fn press(&self, key: Key) {
        self.keys(&[key.code()]).await;
    }

    /// Presses a key with Ctrl held.
    pub async fn press_with_control(&self, key: Key) {
        self.keys(&[CONTROL, key.code()]).await;
    }

    /// Presses keys one after the other, and lets them go in the opposite order.
    async fn keys(&self, keys: &[char]) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for key in keys {
            actions = actions.then(KeyAction::Down { value: *key });
        }
        for key in keys.iter().rev() {
            actions = actions.then(KeyAction::Up { value: *key });
        }
        self.client.perform_actions(actions).await.expect("a keyboard");
    }

    /// Moves the mouse to a point of the window, in pixels from its upper left corner.
    pub async fn move_mouse(&self, x: f64, y: f64) {
        let there = PointerAction::MoveTo { duration: None, x: x.round(), y: y.round() };
        let actions = MouseActions::new("mouse".to_owned()).then(there);
        self.client.perform_actions(actions).await.expect("a mouse");
    }

    /// The path and the query of the address.
    pub async fn address(&self) -> String {
        let url = self.client.current_url().await.expect("an address");
        url[url::Position::BeforePath..].to_owned()
    }

    /// Makes the window as large as this, in pixels: 375 by 800 is a phone.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("a window can be resized");
    }

    /// Goes back to the address before, as the button does, and waits until the page has it.
    pub async fn back(&self) {
        let here = self.address().await;
        self.client.back().await.expect("there is one before");
        let begun = Instant::now();
        while self.address().await == here {
            assert!(begun.elapsed() < PATIENCE, "the address is still {here}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Keeps a screenshot under the test's name and this one.
    pub async fn shot(&self, what: &str) {
        let folder = crate::lake::folder("screenshots");
        let png = self.client.screenshot().await.expect("a screenshot");
        let file = format!("{}-{what}.png", self.name.replace("::", "-"));
        fs::write(folder.join(file), png).expect("the folder of tests can be written");
    }

    /// From here on the server may refuse what the page asks, which the browser itself writes to the console.
    pub fn expect_refusals(&self) {
        self.refusals_expected.set(true);
    }

    /// Leaves out what the console has said so far, where a page was meant to be complained of.
    pub async fn forget_complaints(&self) {
        self.complaints().await;
    }

    /// What the console says since the last look, of all that ought not to be there.
    async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(ReadConsole).await.expect("a console");
        let entries = log.as_array().cloned().unwrap_or_default();
        let of = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        entries
            .iter()
            .filter(|entry| matches!(of(entry, "level").as_str(), "SEVERE" | "WARNING"))
            .filter(|entry| !(self.refusals_expected.get() && of(entry, "source") == "network"))
            .map(|entry| of(entry, "message"))
            // Every page asks this all the time, also when its server has just been ended.
            .filter(|message| !message.contains("/api/fresh"))
            .collect()
    }
}

/// ChromeDriver's own command for the console.
#[derive(Debug)]
struct ReadConsole;

impl WebDriverCompatibleCommand for ReadConsole {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// A running chromedriver, ended with all that it started when it is dropped.
struct Driver {
    process: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut process = Command::new(find("chromedriver"))
            .arg("--port=0")
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("chromedriver runs");
        let mut said = BufReader::new(process.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let port = said
            .find_map(|line| {
                line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("chromedriver says on which port it listens");
        // What more it says has to go somewhere, or it stops.
        std::thread::spawn(move || said.for_each(drop));
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// The path of a program of Debian's.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed: apt-get install chromium chromium-driver"))
}
