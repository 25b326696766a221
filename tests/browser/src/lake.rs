//! Lakes to look at: homes of `pregao`, and the servers on them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use serde_json::{Map, Value};

/// The binary that is tested.
pub fn binary() -> PathBuf {
    let named = env::var_os("PREGAO").expect("PREGAO has to name the binary: target/release/pregao");
    fs::canonicalize(&named).unwrap_or_else(|error| panic!("PREGAO={}: {error}; build it first", named.display()))
}

/// A folder for what tests leave behind.
pub fn folder(name: &str) -> PathBuf {
    let named = env::var_os("BROWSER_TESTS").expect("BROWSER_TESTS has to name a folder for lakes and screenshots");
    let folder = PathBuf::from(named).join(name);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    fs::canonicalize(folder).expect("it is there")
}

/// The folder of a lake.
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// A new and empty one.
    pub fn new(name: &str) -> Self {
        let folder = folder("lakes").join(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", folder.display()),
            _ => fs::create_dir_all(&folder).expect("the folder of tests can be written"),
        }
        Self { folder }
    }

    /// Where raw files can be put before they are uploaded.
    pub fn raw(&self) -> PathBuf {
        self.folder.join("raw")
    }

    /// What `--home` names: all that the embedded endpoint keeps.
    pub fn state(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Runs a command on it, which has to succeed, and gives what it says.
    pub fn pregao(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("pregao runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pregao {}: {stderr}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A command on it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        // Without the configuration of whoever runs the tests.
        command.current_dir(&self.folder).arg("--home").arg(self.state());
        if ["local", "explore"].iter().any(|serving| arguments.contains(serving)) {
            // Runs that start by themselves would change what other tests count.
            command.args(["--set", "schedule.on_upload=never"]);
        }
        command.args(arguments);
        command
    }

    /// Writes raw files of some business days.
    pub fn sample(&self, days: u32, from: &str) {
        let raw = self.raw();
        let raw = raw.to_str().expect("a path in UTF-8");
        self.pregao(&["sample", "--out", raw, "--days", &days.to_string(), "--from", from]);
    }

    /// Uploads the raw files.
    pub fn upload(&self) {
        self.pregao(&["upload", self.raw().to_str().expect("a path in UTF-8")]);
    }

    /// Makes, uploads and publishes some business days.
    pub fn publish(&self, days: u32, from: &str, to: &str) {
        self.sample(days, from);
        self.upload();
        self.pregao(&["run", "--from", from, "--to", to]);
    }

    /// The rows of a query, by `pregao query`.
    pub fn query(&self, sql: &str) -> Vec<Map<String, Value>> {
        serde_json::from_str(&self.pregao(&["query", "--format", "json", sql])).expect("an array of objects")
    }

    /// Where its server answers, which has to run: `http://127.0.0.1:41233`.
    pub fn endpoint(&self) -> String {
        let announced = fs::read(self.state().join("endpoint.json")).expect("a served lake");
        let announced: Value = serde_json::from_slice(&announced).expect("JSON");
        announced["url"].as_str().expect("an address").to_owned()
    }

    /// Asks the Athena of its server, which has to run.
    pub fn athena(&self, operation: &str, request: &Value) -> Value {
        let headers = format!("X-Amz-Target: AmazonAthena.{operation}\r\nContent-Type: application/x-amz-json-1.1\r\n");
        let (_, answer) = http(&self.endpoint(), &format!("POST /\n{headers}"), &request.to_string());
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Starts an execution that fails at once, on its server, which has to run.
    pub fn start_failing(&self, name: &str) {
        let announced = fs::read(self.state().join("endpoint.json")).expect("a served lake");
        let announced: Value = serde_json::from_slice(&announced).expect("JSON");
        let headers = "X-Amz-Target: AWSStepFunctions.StartExecution\r\nContent-Type: application/x-amz-json-1.0\r\n";
        let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:create_datalake";
        let request = serde_json::json!({ "stateMachineArn": machine, "name": name, "input": "{\"wrong\": 1}" });
        http(announced["url"].as_str().expect("an address"), &format!("POST /\n{headers}"), &request.to_string());
    }

    /// `pregao explore` on it.
    pub fn explore(&self) -> Explorer {
        Explorer(Server::start(self.command(&["explore"])))
    }

    /// `pregao explore` on it, with other settings.
    pub fn explore_with(&self, settings: &[&str]) -> Explorer {
        Explorer(Server::start(self.command(&[&["explore"], settings].concat())))
    }

    /// `pregao local` on it, for those who stop it under an explorer.
    pub fn local(&self) -> Server {
        Server::start(self.command(&["local"]))
    }

    /// `pregao local` on it, whose Spark steps wait for [`Home::let_steps_go`]: so a run can be looked at while it runs, for
    /// as long as that takes.
    pub fn local_with_held_steps(&self) -> Server {
        let bin = self.spark().join("bin");
        fs::create_dir_all(&bin).expect("the folder of tests can be written");
        let program = bin.join("spark-sql");
        fs::write(&program, HELD_STEP).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be run");
        let mut command = self.command(&["local", "--engine", "spark"]);
        command.env("SPARK_HOME", self.spark()).env("PREGAO", binary());
        Server::start(command)
    }

    /// Lets the steps go that wait, and those to come.
    pub fn let_steps_go(&self) {
        fs::write(self.spark().join("bin/go"), "").expect("the folder of tests can be written");
    }

    fn spark(&self) -> PathBuf {
        self.folder.join("spark")
    }
}

/// A replacement for `spark-sql`: it waits until the file `go` exists or the endpoint ends, then has the engine write what
/// Spark would.
const HELD_STEP: &str = r#"#!/bin/sh
until [ -e "$(dirname "$0")/go" ]; do
  kill -0 $PPID || exit 1
  sleep 0.05
done
for argument; do
  case $argument in run=*) run=$argument ;; esac
done
"$PREGAO" etl --raw raw --out out || exit 1
cd out || exit 1
find . -name '*.parquet' | while read -r file; do
  folder=../lake/runs/$run/$(dirname "$file")
  mkdir -p "$folder" && mv "$file" "$folder/" || exit 1
done
"#;

/// A running explorer.
pub struct Explorer(Server);

impl Explorer {
    /// Where it is: `http://127.0.0.1:41234`.
    pub fn url(&self) -> &str {
        &self.0.first_line
    }
}

/// What a server answers to a request, with a body of JSON if there is one: its headers, and the bytes behind them.
pub fn http(url: &str, request: &str, json: &str) -> (String, Vec<u8>) {
    let host = url.strip_prefix("http://").expect("an address");
    let mut connection = TcpStream::connect(host).expect("the server runs");
    let (line, headers) = request.split_once('\n').map_or((request, ""), |(line, headers)| (line, headers));
    let length = json.len();
    write!(connection, "{line} HTTP/1.0\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n{json}")
        .expect("it listens");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers");
    let body = answer.split_off(end + 4);
    let headers = String::from_utf8(answer).expect("text");
    assert!(headers.starts_with("HTTP/1.0 200"), "{request}: {headers}{}", String::from_utf8_lossy(&body));
    (headers, body)
}

/// A server, ended when it is dropped.
pub struct Server {
    child: Child,
    /// What it said first: for the explorer its URL.
    first_line: String,
}

impl Server {
    /// Starts it, and waits for its first line.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("pregao runs");
        let mut first_line = String::new();
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        said.read_line(&mut first_line).expect("a first line");
        // What more it says has to go somewhere, or it ends.
        std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(drop));
        assert!(first_line.contains("http://127.0.0.1:"), "{command:?} said {first_line:?}");
        Self { child, first_line: first_line.trim_end().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is not for here to judge.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
