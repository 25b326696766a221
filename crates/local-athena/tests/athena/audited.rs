//! Tables whose partitions have manifests: a query returns the audited rows, or fails.

use std::fs;

use local_athena::{ErrorKind, QueryError};
use manifest::{AuditedFile, Checksums, Manifest, NAME};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::fixture::{Fixture, quotes};

const FIRST: &str = "quotes/year=2020/month=4/day=1/run=a/";
const SECOND: &str = "quotes/year=2020/month=4/day=2/run=a/";
const PART: &str = "part-0.parquet";
/// All rows, ordered by enough columns that the order is total.
const ALL: &str = "SELECT * FROM quotes ORDER BY intdate, ticker, last";

/// The market of the fixture, with manifests of its quotes.
async fn audited() -> Fixture {
    let fixture = Fixture::market().await;
    audit(&fixture, FIRST, 3);
    audit(&fixture, SECOND, 2);
    fixture.run("ALTER TABLE quotes SET TBLPROPERTIES ('pregao.manifest'='_manifest.json')").await;
    fixture
}

/// Writes the manifest of the one file in a folder.
fn audit(fixture: &Fixture, folder: &str, rows: u64) {
    let bytes = fs::read(fixture.path(&format!("{folder}{PART}"))).expect("a file");
    let file = AuditedFile {
        name: PART.to_owned(),
        bytes: bytes.len() as u64,
        etag: "of-no-interest-here".to_owned(),
        rows,
        checksums: Checksums::new(&bytes),
    };
    let manifest = Manifest::new(folder.to_owned(), vec![file]);
    fixture.put(&format!("{folder}{NAME}"), &manifest.to_json());
}

#[tokio::test]
async fn what_was_audited_is_answered() {
    let fixture = audited().await;
    assert_eq!(fixture.rows(ALL).await.len(), 5);
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes WHERE day = 1").await, ["3"]);
    assert_eq!(fixture.rows("SELECT last FROM quotes WHERE ticker = 'VALE3'").await, ["43.2"]);
    assert_eq!(
        fixture.rows("SELECT DISTINCT \"$path\" FROM quotes WHERE day = 2").await,
        [format!("s3://lake/{SECOND}{PART}")]
    );
}

#[tokio::test]
async fn a_day_without_rows_has_a_manifest_without_files() {
    let fixture = audited().await;
    let folder = "quotes/year=2020/month=4/day=3/run=a/";
    let add = format!("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=3) LOCATION 's3://lake/{folder}'");
    fixture.run(&add).await;
    let error = fixture.refusal("SELECT * FROM quotes WHERE day = 3").await;
    assert_eq!(
        error.message,
        format!(
            "HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://lake/{folder}_manifest.json: it is missing, so that \
             nobody knows which files were audited; write the day again: pregao run --from 2020-04-03"
        )
    );
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes WHERE day < 3").await, ["5"], "days that are not asked for");
    fixture.put(&format!("{folder}{NAME}"), &Manifest::new(folder.to_owned(), Vec::new()).to_json());
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes WHERE day = 3").await, ["0"]);
}

/// Returns the errors of a sum, a count and a lookup after `harm`.
async fn told(harm: impl Fn(&Fixture)) -> QueryError {
    let fixture = audited().await;
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes").await, ["5"], "the manifests are known");
    harm(&fixture);
    let mut errors = Vec::new();
    for sql in
        ["SELECT sum(last) FROM quotes", "SELECT count(*) FROM quotes", "SELECT * FROM quotes WHERE ticker = 'X'"]
    {
        errors.push(fixture.refusal(sql).await);
    }
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    errors.remove(0)
}

#[tokio::test]
async fn other_files_than_were_audited_are_an_error_that_names_them() {
    let part = format!("{FIRST}{PART}");
    let whole = |fixture: &Fixture| fs::read(fixture.path(&part)).expect("a file");
    let at = "HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://lake/quotes/year=2020/month=4/day=1/run=a/";
    let again = "write the day again: pregao run --from 2020-04-01";
    type Harm<'a> = &'a dyn Fn(&Fixture);
    let harms: [(&str, Harm<'_>, String); 8] = [
        ("deleted", &|f| fs::remove_file(f.path(&part)).expect("removed"), format!("{PART}: {PART} is missing")),
        ("emptied", &|f| f.put(&part, b""), format!("{PART}: {PART} has 0 bytes, and ")),
        ("cut", &|f| f.put(&part, &whole(f)[..100]), format!("{PART}: {PART} has 100 bytes, and ")),
        ("grown", &|f| f.put(&part, &[whole(f), b"x".to_vec()].concat()), format!("{PART}: {PART} has ")),
        (
            "added",
            &|f| f.put(&format!("{FIRST}part-1.parquet"), &whole(f)),
            "part-1.parquet: part-1.parquet was added after the audit".to_owned(),
        ),
        (
            "no manifest",
            &|f| fs::remove_file(f.path(&format!("{FIRST}{NAME}"))).expect("removed"),
            "_manifest.json: it is missing".to_owned(),
        ),
        (
            "no folder",
            &|f| fs::remove_dir_all(f.path(FIRST)).expect("removed"),
            "_manifest.json: it is missing".to_owned(),
        ),
        (
            "two days exchanged",
            &|f| {
                fs::rename(f.path(FIRST), f.path("quotes/x")).expect("renamed");
                fs::rename(f.path(SECOND), f.path(FIRST)).expect("renamed");
                fs::rename(f.path("quotes/x"), f.path(SECOND)).expect("renamed");
            },
            format!("_manifest.json: _manifest.json is that of {SECOND}"),
        ),
    ];
    for (what, harm, expected) in harms {
        let error = told(harm).await;
        assert_eq!(error.kind, ErrorKind::CannotOpenSplit, "{what}: {error}");
        assert!(error.message.starts_with(&format!("{at}{expected}")), "{what}: {error}");
        assert!(error.message.ends_with(again), "{what}: {error}");
    }
}

#[tokio::test]
async fn bytes_that_were_not_audited_are_an_error_that_names_the_file() {
    let bad = "HIVE_BAD_DATA: Malformed Parquet file s3://lake/quotes/year=2020/month=4/day=1/run=a/part-0.parquet: ";
    let part = format!("{FIRST}{PART}");
    let other = |fixture: &Fixture| {
        // The same rows except for one value, in a file of the same size.
        let size = fs::metadata(fixture.path(&part)).expect("a file").len();
        fixture.put_parquet(
            &part,
            quotes(&[
                (202004011000, "PETR4", Some(15.5), Some(15.4), Some(15.6), Some(100.0)),
                (202004011010, "PETR4", Some(15.75), Some(15.7), Some(15.8), Some(300.0)),
                (202004011000, "VALE3", Some(43.3), Some(43.0), None, Some(1e10)),
            ]),
        );
        assert_eq!(fs::metadata(fixture.path(&part)).expect("a file").len(), size);
    };
    let error = told(other).await;
    assert_eq!(error.kind, ErrorKind::BadData);
    assert!(error.message.starts_with(bad), "{error}");
    assert!(error.message.contains("are not those that were audited; write the day again: pregao run"), "{error}");

    let zeroed = |fixture: &Fixture| {
        let size = fs::metadata(fixture.path(&part)).expect("a file").len();
        fixture.put(&part, &vec![0; size as usize]);
    };
    assert!(told(zeroed).await.message.starts_with(bad));

    let manifest = format!("{FIRST}{NAME}");
    let cut = |fixture: &Fixture| fixture.put(&manifest, b"{\"version\": 1");
    let error = told(cut).await;
    assert!(error.message.contains(&format!("s3://lake/{manifest}: it is damaged: ")), "{error}");
}

#[tokio::test]
async fn a_day_that_is_audited_again_is_read_again() {
    let fixture = audited().await;
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes").await, ["5"]);
    fixture.put_parquet(&format!("{FIRST}{PART}"), quotes(&[(202004011000, "PETR4", Some(1.0), None, None, None)]));
    assert_eq!(fixture.refusal("SELECT count(*) FROM quotes").await.kind, ErrorKind::CannotOpenSplit);
    audit(&fixture, FIRST, 1);
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes").await, ["3"]);
    audit(&fixture, FIRST, 7);
    let error = fixture.refusal("SELECT count(*) FROM quotes").await;
    assert!(error.message.contains("its footer is not that of the 7 rows that were audited"), "{error}");
}

#[tokio::test]
async fn a_table_that_promises_no_manifests_is_what_its_files_are() {
    let fixture = audited().await;
    fixture.run("DROP TABLE quotes").await;
    fixture
        .run(
            "CREATE EXTERNAL TABLE quotes (intdate bigint, ticker string) PARTITIONED BY (year int, month int, day int)
             STORED AS PARQUET LOCATION 's3://lake/quotes' TBLPROPERTIES ('classification'='parquet')",
        )
        .await;
    fixture.run("MSCK REPAIR TABLE quotes").await;
    fs::remove_file(fixture.path(&format!("{FIRST}{PART}"))).expect("removed");
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes").await, ["2"]);
}

/// Flips any bit of a file with several row groups and pages: the result is the same, or an error.
#[test]
fn no_flipped_bit_changes_an_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fixture = runtime.block_on(audited());
    let rows: Vec<_> = (0..4000)
        .map(|n| {
            (
                202004011000 + n % 7,
                ["PETR4", "VALE3", "ABEV3"][n as usize % 3],
                Some(n as f64),
                None,
                Some(0.25),
                Some(1e3),
            )
        })
        .collect();
    fixture.put_rows(&format!("{FIRST}{PART}"), quotes(&rows), 1500);
    audit(&fixture, FIRST, 4000);
    let statements = [ALL, "SELECT count(*), sum(last) FROM quotes WHERE ticker = 'VALE3'"];
    let answers: Vec<_> = statements.iter().map(|sql| runtime.block_on(fixture.rows(sql))).collect();

    let files = [format!("{FIRST}{PART}"), format!("{FIRST}{NAME}")];
    let whole = files.clone().map(|file| fs::read(fixture.path(&file)).expect("a file"));
    let mut runner = TestRunner::new(Config { cases: 250, ..Config::default() });
    let flips = (prop::bool::weighted(0.2), any::<prop::sample::Index>(), 0_u8..8);
    let flipped = runner.run(&flips, |(of_manifest, at, bit)| {
        let (file, whole) = (&files[usize::from(of_manifest)], &whole[usize::from(of_manifest)]);
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fixture.put(file, &bytes);
        let outcomes: Vec<_> = statements.iter().map(|sql| runtime.block_on(fixture.ask(sql))).collect();
        fixture.put(file, whole);
        for ((outcome, answer), sql) in outcomes.into_iter().zip(&answers).zip(statements) {
            match outcome {
                Ok((_, rows)) => {
                    let rows: Vec<_> = rows.iter().map(crate::fixture::joined).collect();
                    // Not `prop_assert_eq`, which prints thousands of rows.
                    prop_assert!(&rows == answer, "{} differs with bit {} of byte {} of {}", sql, bit, at, file);
                }
                Err(error) => {
                    prop_assert!(matches!(error.kind, ErrorKind::BadData | ErrorKind::CannotOpenSplit), "{}", error);
                }
            }
        }
        Ok(())
    });
    flipped.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answers[0], runtime.block_on(fixture.rows(ALL)), "all is as it was");
}
