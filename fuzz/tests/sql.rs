//! A statement, read and planned and not run. It is planned or refused, and takes no more than it may of a processor's time
//! and of memory, neither of which depends on how busy the machine is.

#[path = "../../crates/local-athena/tests/athena/constructs.rs"]
#[allow(dead_code, reason = "the names are for another test")]
mod constructs;

use std::fs;
use std::io;
use std::sync::{Arc, LazyLock};

use constructs::{CONSTRUCTS, RELATIONS, doubling, select_from};
use fuzz::{Random, Target};
use local_athena::{Engine, ErrorKind, Limits, ObjectFile, ObjectFiles, Output, Statement};
use peak_alloc::PeakAlloc;
use tokio::runtime::Runtime;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Ten milliseconds each, in which the system counts a process's time: 100 ms, and one that had begun before. In a test,
/// which has to pass on a slow machine too, ten times as much: what hangs takes more than that everywhere.
static MOST_TICKS: LazyLock<u64> = LazyLock::new(|| if std::env::var_os("FUZZ_SECONDS").is_some() { 11 } else { 101 });
const MOST_BYTES: usize = 64 << 20;

struct NoObjects;

impl ObjectFiles for NoObjects {
    fn list(&self, _location: &str) -> io::Result<Vec<ObjectFile>> {
        Ok(Vec::new())
    }
}

struct World {
    runtime: Runtime,
    engine: Engine,
    _home: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let home = tempfile::tempdir().expect("a temporary folder");
    let runtime = Runtime::new().expect("threads");
    let limits = Limits { threads: 1, ..Limits::default() };
    let engine = Engine::open_with(&home.path().join("catalog.db"), Arc::new(NoObjects), limits).expect("an engine");
    let world = World { runtime, engine, _home: home };
    for sql in [
        "CREATE DATABASE market",
        "CREATE EXTERNAL TABLE quotes (intdate bigint, ticker string, last double) PARTITIONED BY (year int, month int, day int) \
         STORED AS PARQUET LOCATION 's3://lake/quotes/'",
        "CREATE VIEW v AS SELECT ticker, last FROM quotes",
    ] {
        world.plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    world
});

impl World {
    fn plan(&self, sql: &str) -> Result<(), local_athena::QueryError> {
        let statement = Statement::parse(sql, &[])?;
        self.runtime.block_on(self.engine.execute(&statement, "market", &Output::default())).map(drop)
    }
}

/// The time that this process has computed for, in ticks.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("the process");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum()
}

#[test]
fn sql() {
    let pieces = [
        "SELECT ",
        " FROM ",
        "quotes",
        " WHERE ",
        " GROUP BY ",
        " ORDER BY ",
        "WITH a AS (",
        "(",
        ")",
        ", ",
        "a",
        "x",
        "*",
        "ticker",
        "last",
        "year",
        "1",
        "1.5e0",
        "'a'",
        "NULL",
        "true",
        " AND ",
        " OR ",
        "NOT ",
        " = ",
        " + ",
        " || ",
        "CASE WHEN ",
        " THEN ",
        " ELSE ",
        " END",
        "CAST(",
        " AS bigint)",
        "ARRAY[",
        "]",
        "x -> ",
        "coalesce(",
        "count(*)",
        "sum(",
        " OVER ()",
        " BETWEEN ",
        " IN (",
        "EXISTS (",
        " UNION ALL ",
        " CROSS JOIN ",
        " JOIN ",
        " ON ",
        "INTERVAL ",
        "DATE '2020-04-01'",
        "SHOW TABLES",
        "DESCRIBE quotes",
        "CREATE VIEW v AS ",
        "EXPLAIN ",
        "VALUES ",
        "--\n",
        "\u{0}",
    ];
    Target::new("sql").pieces(pieces).build(nested).fixed_cases(1500).run(check);
}

/// Statements whose answers on Athena, or refusals by it, are known.
fn known() -> impl Iterator<Item = &'static str> {
    let text = include_str!("../../crates/local-athena/tests/athena/statements.txt");
    let blocks = text.split("\n\n").map(str::trim_start).filter(|block| !block.starts_with('#') && !block.is_empty());
    blocks.filter_map(|block| block.split("\n=> ").next()?.split("\n!! ").next())
}

#[test]
fn known_statements_are_within_the_limits() {
    assert!(known().count() > 100);
    known().for_each(|sql| check(sql.as_bytes()));
}

/// A construct in itself, or two in one another.
fn nested(random: &mut Random) -> Vec<u8> {
    let depth = 10 + random.below(111);
    let text = match random.below(8) {
        0 => select_from(RELATIONS[random.below(RELATIONS.len())].1, depth),
        1 => doubling(depth / 3),
        _ => CONSTRUCTS[random.below(CONSTRUCTS.len())].statement(depth.min(10 + random.below(60))),
    };
    text.into_bytes()
}

fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let world = &*WORLD;
    let before = ticks();
    let held = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    // A SELECT is planned and not run.
    let sql = if Statement::parse(text, &[]).is_ok_and(|statement| statement.name() == "SELECT") {
        format!("EXPLAIN {text}")
    } else {
        text.to_owned()
    };
    let outcome = world.plan(&sql);
    let (took, peak) = (ticks() - before, MEMORY.peak_usage().saturating_sub(held));
    if let Err(error) = outcome {
        assert_ne!(error.kind, ErrorKind::Internal, "{error}");
    }
    assert!(took <= *MOST_TICKS, "it takes {took}0 ms");
    assert!(peak <= MOST_BYTES, "it takes {peak} bytes");
}
