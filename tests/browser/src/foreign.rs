//! What a page of somebody else can do that is open in the same browser: nothing. Chromium is the judge of which
//! requests a page may send, and of what it says in their heads.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::Shared;
use crate::browser::Browser;
use crate::lake::{Home, http};

/// A page on another port of this machine. It needs no more than its own origin; what it does is a script of the test.
/// `/to?URL` leads on to any address, with method and body.
struct Page {
    port: u16,
}

impl Page {
    fn serve() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                thread::spawn(move || Page::answer(connection));
            }
        });
        Self { port }
    }

    /// The browser may go away at any time.
    fn answer(mut connection: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(connection.try_clone().ok()?).lines();
        let request = lines.next()?.ok()?;
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let target = request.split(' ').nth(1)?;
        let (status, more, body) = match target.split_once("/to?") {
            Some((_, url)) => ("307 Temporary Redirect", format!("Location: {url}\r\n"), ""),
            None => {
                ("200 OK", String::new(), "<!DOCTYPE html><link rel=icon href='data:,'><title>A page</title><body>")
            }
        };
        let origin = head.iter().find_map(|line| line.strip_prefix("Origin: ")).unwrap_or("*");
        let length = body.len();
        write!(
            connection,
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: {origin}\r\n{more}\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .ok()
    }
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("a file");
            found.insert(path, bytes);
        }
    }
    found
}

/// Tries everything that a page can think of. `arguments[0]` has the addresses, and keys of raw files: each way takes
/// one for itself. Returns how many ways there were, and what a page got to read.
const TRY_ALL: &str = r#"
const { s3, other, explorer, keys, origin } = arguments[0];
const bucket = `${s3}/pregao-raw`;
const left = [...keys];
const key = () => { const next = left.shift(); if (!next) throw new Error('too few keys'); return next; };
const batch = () => `<Delete><Object><Key>${key()}</Key></Object></Delete>`;
const forged = 'forged';
const plain = { 'Content-Type': 'text/plain' };
const patience = (promise) => Promise.race([promise, new Promise((done) => setTimeout(done, 4000))]);
const ways = [];
const read = [];
const way = (name, run) => ways.push([name, run]);
const text = (response) => response.text().then((body) => { if (body) read.push(body.slice(0, 80)); });
const form = (action, fields, enctype, method = 'post') => new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.name = `frame${Math.random()}`;
  document.body.append(frame);
  const form = Object.assign(document.createElement('form'), { action, enctype, method, target: frame.name });
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof File) {
      const files = new DataTransfer();
      files.items.add(value);
      const input = Object.assign(document.createElement('input'), { type: 'file', name });
      input.files = files.files;
      form.append(input);
    } else {
      form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
    }
  }
  document.body.append(form);
  frame.onload = () => done();
  form.submit();
});
const element = (name, properties) => new Promise((done) => {
  const made = Object.assign(document.createElement(name), properties);
  made.onload = made.onerror = () => done();
  document.body.append(made);
});
const data = () => { const data = new FormData(); data.append('key', key()); data.append('file', new Blob([forged])); return data; };

way('delete, no-cors', () => fetch(`${bucket}?delete`, { method: 'POST', mode: 'no-cors', headers: plain, body: batch() }));
way('delete by the other name', () => fetch(`${other}/pregao-raw?delete`, { method: 'POST', mode: 'no-cors', headers: plain, body: batch() }));
way('delete, cors', () => fetch(`${bucket}?delete`, { method: 'POST', headers: plain, body: batch() }).then(text));
way('delete, with credentials', () => fetch(`${bucket}?delete`, { method: 'POST', mode: 'no-cors', credentials: 'include', body: batch() }));
way('delete, without a referrer', () => fetch(`${bucket}?delete`, { method: 'POST', mode: 'no-cors', referrerPolicy: 'no-referrer', body: batch() }));
way('delete that outlives the page', () => fetch(`${bucket}?delete`, { method: 'POST', mode: 'no-cors', keepalive: true, body: batch() }));
way('delete by a beacon', () => navigator.sendBeacon(`${bucket}?delete`, batch()));
way('delete by XMLHttpRequest', () => new Promise((done) => {
  const request = new XMLHttpRequest();
  request.onloadend = done;
  request.open('POST', `${bucket}?delete`);
  request.setRequestHeader('Content-Type', 'text/plain');
  request.send(batch());
}));
way('delete by a form of text', () => form(`${bucket}?delete`, { [`<Delete a="`]: `"><Object><Key>${key()}</Key></Object></Delete>` }, 'text/plain'));
way('delete from a frame without an origin', () => element('iframe', { sandbox: 'allow-scripts', srcdoc:
  `<script>fetch('${bucket}?delete', { method: 'POST', mode: 'no-cors', body: '${batch()}' })</script>` }));
way('delete from a frame of a data address', () => element('iframe', { src: 'data:text/html,' + encodeURIComponent(
  `<script>fetch('${bucket}?delete', { method: 'POST', mode: 'no-cors', body: '${batch()}' })</script>`) }));
way('delete from an empty frame', () => { const frame = document.createElement('iframe'); document.body.append(frame);
  return frame.contentWindow.fetch(`${bucket}?delete`, { method: 'POST', mode: 'no-cors', body: batch() }); });
way('delete from a worker', () => new Promise((done) => {
  const script = `fetch('${bucket}?delete', { method: 'POST', mode: 'no-cors', body: '${batch()}' }).finally(() => postMessage(1))`;
  const worker = new Worker(URL.createObjectURL(new Blob([script])));
  worker.onmessage = worker.onerror = done;
}));
way('delete by being led on', () => fetch(`${origin}/to?${bucket}?delete`, { method: 'POST', mode: 'no-cors', headers: plain, body: batch() }));
way('delete by a form that is led on', () => form(`${origin}/to?${bucket}?delete`, { [`<Delete a="`]: `"><Object><Key>${key()}</Key></Object></Delete>` }, 'text/plain'));
way('forge by a form of parts', () => form(bucket, { key: key(), file: new File([forged], 'x.csv') }, 'multipart/form-data'));
way('forge by parts, no-cors', () => fetch(bucket, { method: 'POST', mode: 'no-cors', body: data() }));
way('forge by parts of a beacon', () => navigator.sendBeacon(bucket, data()));
way('forge by PUT', () => fetch(`${bucket}/${key()}`, { method: 'PUT', body: forged }).then(text));
way('forge by PUT, no-cors', () => fetch(`${bucket}/${key()}`, { method: 'PUT', mode: 'no-cors', body: forged }));
way('forge by PUT of XMLHttpRequest', () => new Promise((done) => {
  const request = new XMLHttpRequest();
  request.onloadend = done;
  request.open('PUT', `${bucket}/${key()}`);
  request.send(forged);
}));
way('forge by a copy', () => fetch(`${bucket}/${key()}`, { method: 'PUT', headers: { 'x-amz-copy-source': `pregao-raw/${keys[0]}` } }));
way('DELETE', () => fetch(`${bucket}/${key()}`, { method: 'DELETE' }));
way('begin an upload', () => fetch(`${bucket}/${key()}?uploads`, { method: 'POST', mode: 'no-cors' }));
way('read', () => fetch(`${bucket}/${key()}`).then(text));
way('list', () => fetch(`${bucket}?list-type=2`).then(text));
way('invoke a function', () => fetch(`${s3}/2015-03-31/functions/ingest/invocations`, { method: 'POST', mode: 'no-cors', headers: plain, body: '{}' }));
for (const target of ['AmazonAthena.StartQueryExecution', 'AWSStepFunctions.StartExecution', 'ElasticMapReduce.RunJobFlow']) {
  way(target, () => fetch(s3, { method: 'POST', headers: { ...plain, 'X-Amz-Target': target }, body: '{"QueryString":"SELECT 1"}' }).then(text));
}
way('a socket', () => new Promise((done) => { const socket = new WebSocket(s3.replace('http', 'ws')); socket.onclose = done; }));
const api = `${explorer}/api/quality/runs`;
const asked = `${explorer}/api/instruments?search=P`;
way('the explorer, a frame', () => element('iframe', { src: explorer }));
way('the explorer, a frame of the API', () => element('iframe', { src: asked }));
way('the explorer, a form', () => form(`${explorer}/api/lake`, { a: 'b' }, 'text/plain', 'get'));
for (const address of [api, asked, `${explorer}/api/lake`, `${explorer}/api/executions`, `${explorer}/assets/app.js`, `${explorer}/`]) {
  way(`the explorer, an image of ${address}`, () => element('img', { src: address }));
  way(`the explorer, a script of ${address}`, () => element('script', { src: address }));
  way(`the explorer, a module of ${address}`, () => element('script', { src: address, type: 'module' }));
  way(`the explorer, a style of ${address}`, () => element('link', { href: address, rel: 'stylesheet' }));
  way(`the explorer, no-cors of ${address}`, () => fetch(address, { mode: 'no-cors' }));
  way(`the explorer, cors of ${address}`, () => fetch(address).then(text));
}
way('the explorer, a statement', () => fetch(`${explorer}/api/sql/run`, { method: 'POST', mode: 'no-cors', headers: plain, body: '{"statement":"SELECT 1"}' }));
way('the explorer, a run', () => fetch(`${explorer}/api/executions`, { method: 'POST', mode: 'no-cors', headers: plain, body: '{}' }));

const settled = Promise.allSettled(ways.map(([, run]) => { try { return patience(Promise.resolve(run())); } catch (error) { return Promise.reject(error); } }));
return settled.then((all) => ({ ways: all.length, taken: keys.length - left.length, read,
  broken: all.filter((one) => one.reason instanceof Error && !(one.reason instanceof TypeError)).map((one) => String(one.reason)) }));
"#;

pub async fn a_page_can_delete_and_forge_nothing(_: &Shared, browser: &Browser) {
    let home = Home::new("foreign");
    home.sample(1, "2020-04-01");
    home.upload();
    let _endpoint = home.local();
    let explorer = home.explore();
    let endpoint = home.endpoint();
    let raw = home.state().join("s3/pregao-raw");
    let before = files(&raw);
    let keys: Vec<String> = before
        .keys()
        .map(|path| path.strip_prefix(&raw).expect("below it").to_str().expect("text").to_owned())
        .collect();
    let queries = || home.athena("ListQueryExecutions", &json!({})).to_string();
    let (asked_before, page) = (queries(), Page::serve());

    // A page of another site, and one of this site on another port.
    for (host, keys) in ["localhost", "127.0.0.1"].into_iter().zip(keys.chunks(keys.len() / 2)) {
        let origin = format!("http://{host}:{}", page.port);
        browser.goto(&origin).await;
        let arguments = json!({
            "s3": endpoint, "other": endpoint.replace("127.0.0.1", "localhost"), "explorer": explorer.url(),
            "keys": keys, "origin": origin,
        });
        let tried = browser.script(TRY_ALL, vec![arguments]).await;
        assert_eq!(tried["broken"], json!([]), "the test's own script");
        assert!(tried["ways"].as_u64() > Some(60) && tried["taken"].as_u64() >= Some(20), "{tried}");
        assert_eq!(tried["read"], json!([]), "what a page could read");
    }
    let after = files(&raw);
    let gone = before.keys().filter(|path| !after.contains_key(*path)).count();
    assert_eq!((gone, after.len() + gone - before.len()), (0, 0), "files that are gone, and files that came");
    let forged: Vec<_> = before.iter().filter(|(path, bytes)| after[*path] != **bytes).map(|(path, _)| path).collect();
    assert!(forged.is_empty(), "{forged:?}");
    let (_, listing) = http(&endpoint, "GET /pregao-raw?list-type=2&max-keys=1000\n", "");
    let listing = String::from_utf8(listing).expect("XML");
    assert_eq!(listing.matches("<Key>").count(), before.len(), "the index has them all");
    let (_, uploads) = http(&endpoint, "GET /pregao-raw?uploads\n", "");
    assert!(!String::from_utf8(uploads).expect("XML").contains("<UploadId>"), "no upload was begun");
    assert_eq!(queries(), asked_before, "no statement was run");

    // The API cannot be navigated to either. The browser requests an icon for the refusal too, at a time of its choice, so that
    // the complaint about it may come after those that are forgotten below.
    browser.expect_refusals();
    browser
        .script("setTimeout(() => { location = arguments[0] }, 0)", vec![format!("{}/api/lake", explorer.url()).into()])
        .await;
    browser.until("the API refuses", "return document.body.innerText.includes('only the pages of this server')").await;
    browser.forget_complaints().await;
}

pub async fn a_link_opens_the_explorer(shared: &Shared, browser: &Browser) {
    let url = shared.published().1.url();
    let page = Page::serve();
    browser.goto(&format!("http://localhost:{}", page.port)).await;
    let link = "document.body.innerHTML = `<a id=link href=${arguments[0]}>the market</a>`";
    browser.script(link, vec![Value::from(format!("{url}/runs"))]).await;
    browser.click("#link").await;
    browser.until("the explorer is there", "return location.pathname === '/runs'").await;
    browser.ready().await;
    // Loaded once more it is the same page.
    browser.script("setTimeout(() => location.reload(), 0); document.documentElement.dataset.old = 1", vec![]).await;
    browser.until("it was loaded again", "return document.documentElement.dataset.old === undefined").await;
    browser.ready().await;
    assert!(browser.texts(".failure").await.is_empty());
}
