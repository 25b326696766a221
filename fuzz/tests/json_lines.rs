//! A file of JSON, an object on each line, read by a query.
//!
//! Held against `serde_json`, which takes each line as a whole: the same rows, or no answer at all. A line that one of
//! the two takes and the other does not would be a row too many or too few.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use fuzz::{Random, Target};
use local_athena::{Engine, ErrorKind, Limits, ObjectFile, ObjectFiles, Output, QueryError, Row, Statement};
use serde_json::Value;
use serde_json::value::Number;
use tokio::runtime::Runtime;

const COLUMNS: [&str; 3] = ["number", "run", "held"];

/// One object.
struct OneFile(PathBuf);

impl ObjectFiles for OneFile {
    fn list(&self, _location: &str) -> io::Result<Vec<ObjectFile>> {
        let (path, size) = (self.0.clone(), fs::metadata(&self.0)?.len());
        Ok(vec![ObjectFile {
            key: "t/a.json".to_owned(),
            size,
            etag: None,
            path,
            last_modified: SystemTime::UNIX_EPOCH,
        }])
    }
}

struct World {
    runtime: Runtime,
    engine: Engine,
    file: Mutex<PathBuf>,
    _home: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let home = tempfile::tempdir().expect("a temporary folder");
    let file = home.path().join("a.json");
    let runtime = Runtime::new().expect("threads");
    let limits = Limits { threads: 1, ..Limits::default() };
    let objects = Arc::new(OneFile(file.clone()));
    let engine = Engine::open_with(&home.path().join("catalog.db"), objects, limits).expect("an engine");
    let world = World { runtime, engine, file: Mutex::new(file), _home: home };
    let create = "CREATE EXTERNAL TABLE t (number bigint, run string, held boolean)
                  ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://lake/t/'";
    world.ask(create).expect("a table");
    world
});

impl World {
    fn ask(&self, sql: &str) -> Result<Vec<Row>, QueryError> {
        let statement = Statement::parse(sql, &[])?;
        self.runtime.block_on(async {
            let mut answer = self.engine.execute(&statement, "default", &Output::default()).await?;
            let mut rows = Vec::new();
            while let Some(batch) = answer.rows.next().await? {
                rows.extend(batch);
            }
            Ok(rows)
        })
    }
}

#[test]
fn json_lines() {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\r\n",
        "\"",
        "\\",
        " ",
        "\t",
        "null",
        "true",
        "false",
        "\"number\":",
        "\"run\":",
        "\"held\":",
        "\"NUMBER\":",
        "\"other\":",
        "1",
        "-0",
        "1.5",
        "01",
        "1e2",
        "9223372036854775808",
        "\"a\"",
        "\"\\u00e7\"",
        "\"\\ud800\"",
        "{}",
        "{\"number\":7}",
        "{\"run\":\"x\",\"held\":true}\n",
        "\u{feff}",
        "\u{0}",
        "ção",
    ];
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec());
    Target::new("json_lines").pieces(pieces.chain([b"\xff".to_vec()])).build(lines).fixed_cases(700).run(check);
}

/// Objects that are mostly rows.
fn lines(random: &mut Random) -> Vec<u8> {
    let mut file = String::new();
    for _ in 0..random.below(6) {
        file.push('{');
        for field in 0..random.below(5) {
            let name = ["number", "run", "held", "Run", "other", "n\\u0075mber"][random.below(6)];
            let odd = [
                "\"a\\\"\"",
                "{\"run\":[1,{}]}",
                "1.0",
                "-9223372036854775809",
                "tru",
                "\"\\ud83d\\ude00\"",
                "[]",
                "-0",
            ];
            let value = match (random.below(12), name) {
                (0, _) => odd[random.below(odd.len())].to_owned(),
                (1, _) => "null".to_owned(),
                (_, "number" | "n\\u0075mber") => (random.number() as i64 >> random.below(64)).to_string(),
                (_, "held") => ["true", "false"][random.below(2)].to_owned(),
                _ => ["\"\"", "\"x y\"", "\"\\n\\u0000é\""][random.below(3)].to_owned(),
            };
            let comma = if field == 0 { "" } else { "," };
            file.push_str(&format!("{comma}\"{name}\":{value}"));
        }
        file.push('}');
        file.push_str(["\n", "\n", "\n", "\r\n", " \n", "\n\n", ""][random.below(7)]);
    }
    file.into_bytes()
}

fn check(bytes: &[u8]) {
    let world = &*WORLD;
    let file = world.file.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(&*file, bytes).expect("a file");
    let read = world.ask("SELECT number, run, held FROM t");
    let counted = world.ask("SELECT count(*) FROM t");
    // A count looks at no value, and at the form of every line.
    if let Some(objects) = lines_of(bytes).iter().map(|line| object(line)).collect::<Option<Vec<_>>>() {
        assert_eq!(counted.as_ref().expect("a count"), &[[Some(objects.len().to_string())]]);
    }
    match expected(bytes) {
        Some(rows) => assert_eq!(read.expect("rows"), rows),
        None => {
            let error = read.expect_err("a line is none");
            assert!(matches!(error.kind, ErrorKind::Cursor | ErrorKind::BadData), "{error}");
            assert!(error.message.contains(" of s3://lake/t/a.json"), "{error}");
            // What is no row is none for any query.
            assert!(error.kind != ErrorKind::Cursor || counted.is_err(), "{error}");
        }
    }
}

/// The rows of a file, if each line is one.
fn expected(bytes: &[u8]) -> Option<Vec<Row>> {
    lines_of(bytes).into_iter().map(row).collect()
}

fn lines_of(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    lines.pop_if(|last| last.is_empty());
    lines
}

/// Text as a whole: `serde_json` takes any bytes in what it passes over.
fn object(line: &[u8]) -> Option<Object> {
    serde_json::from_str(std::str::from_utf8(line).ok()?).ok()
}

fn row(line: &[u8]) -> Option<Row> {
    let Object(fields) = object(line)?;
    COLUMNS
        .iter()
        .map(|column| match (fields.iter().find(|(name, _)| name == column).map(|(_, value)| value), *column) {
            (None | Some(Value::Null), _) => Some(None),
            (Some(Value::Number(number)), "number") => whole(number).map(|number| Some(number.to_string())),
            (Some(Value::String(text)), "run") => Some(Some(text.clone())),
            (Some(Value::Bool(value)), "held") => Some(Some(value.to_string())),
            _ => None,
        })
        .collect()
}

/// `serde_json` takes `-0` for a number with a fraction; no input has one that is zero.
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().filter(|number| *number == 0.0).map(|_| 0))
}

/// The fields of an object, by their names in lower case, no two of which are the same. What stands in no column is
/// looked at for its grammar.
struct Object(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields: Vec<(String, Value)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let name = name.to_lowercase();
                    if fields.iter().any(|(other, _)| *other == name) {
                        return Err(serde::de::Error::custom("a name comes twice"));
                    }
                    let value = match COLUMNS.contains(&name.as_str()) {
                        true => map.next_value()?,
                        false => map.next_value::<serde::de::IgnoredAny>().map(|_| Value::Null)?,
                    };
                    fields.push((name, value));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
