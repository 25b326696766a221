//! Tests of jobs that fail: the error names the file, the place and what to do, and nothing is published.

use std::fs;

use etl::EtlError;
use market::snapshot::Feed;

use crate::files::gzip;
use crate::lake::{Lake, header, quote, record};

/// Publishes a day, replaces its raw files by a good one and by a bad one, `bytes` under `name`, and runs the job. Returns its
/// error, and the text of the error without the folder of the file.
fn failure(name: &str, bytes: impl AsRef<[u8]>) -> (EtlError, String) {
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [quote("PETR4", &[])]);
    lake.run();
    let published = |lake: &Lake| -> Vec<(String, Vec<u8>)> {
        lake.published()
            .into_iter()
            .map(|name| (name.clone(), fs::read(lake.out().join(name)).expect("a file")))
            .collect()
    };
    let before = published(&lake);

    lake.forget_inputs();
    lake.snapshot(Feed::Quotes, "202004011330", [quote("VALE3", &[])]);
    lake.snapshot(Feed::Quotes, "202004021330", [quote("VALE3", &[])]);
    let path = lake.file(name, bytes);
    let error = lake.try_run().expect_err("the job fails");
    assert!(published(&lake) == before, "what was published is untouched");
    assert!(error.to_string().contains(&path.display().to_string()), "{error} names the file");
    let text = error.to_string().replace(&format!("{}/", path.parent().expect("a folder").display()), "");
    (error, text)
}

#[test]
fn a_wrong_header_names_the_column() {
    let name = "202004011340_flashpanel.csv";
    let (error, text) = failure(name, header(Feed::Quotes).replace("Max,Min", "Min,Max"));
    assert!(matches!(error, EtlError::Header { line: 1, .. }));
    assert_eq!(
        text,
        "202004011340_flashpanel.csv, line 1: column 5 of the header is \"Min\", a snapshot of quotes has \"Max\" \
         there: it was moved to column 6; check that the file is what its name says"
    );
    let (_, text) = failure(name, header(Feed::Options) + &record(Feed::Options, "PETRD1", &[]));
    assert!(text.contains("the header is that of a snapshot of options"), "{text}");
    let (_, text) = failure(name, format!("\n{}", quote("PETR4", &[])));
    assert!(
        text.starts_with("202004011340_flashpanel.csv, line 2: the header has 19 columns and none of those"),
        "{text}"
    );
    let (error, _) = failure(name, gzip(header(Feed::Quotes).as_bytes()));
    assert!(matches!(error, EtlError::Header { .. }));
    let (error, _) = failure(name, "x".repeat(3 << 20));
    assert!(matches!(error, EtlError::Header { .. }));
}

#[test]
fn an_empty_file_is_no_snapshot() {
    for bytes in ["", "\u{feff}", "\r\n\n"] {
        assert!(matches!(failure("202004011340_options.csv", bytes).0, EtlError::Empty { .. }), "{bytes:?}");
        assert!(matches!(failure("202004011340_options.csv.gz", gzip(bytes.as_bytes())).0, EtlError::Empty { .. }));
    }
}

#[test]
fn a_damaged_gzip_is_found() {
    let name = "202004011340_flashpanel.csv.gz";
    let lines: Vec<String> = (0..20_000).map(|n| quote(&format!("T{n}"), &[("Ult", &n.to_string())])).collect();
    let whole = gzip(format!("{}{}\n", header(Feed::Quotes), lines.join("\n")).as_bytes());
    let damaged = |bytes: &[u8]| {
        let (error, text) = failure(name, bytes);
        match error {
            EtlError::Gzip { line, .. } => (line, text),
            other => panic!("{other:?}"),
        }
    };

    let (line, text) = damaged(&whole[..whole.len() / 2]);
    assert!((1000..20_000).contains(&line), "{text}");
    assert!(text.starts_with(&format!("{name} is damaged after line {line}: ")), "{text}");
    assert!(text.ends_with("; compress or copy the file again"), "{text}");

    assert_eq!(damaged(&whole[..whole.len() - 1]).0, 20_001, "the checksum is missing, all lines were there");
    let mut wrong_checksum = whole.clone();
    let at = whole.len() - 6;
    wrong_checksum[at] ^= 1;
    assert_eq!(damaged(&wrong_checksum).0, 20_001);
    assert_eq!(damaged(&[&whole[..], b"garbage"].concat()).0, 20_001);
    assert_eq!(damaged(b"").0, 0);
    assert_eq!(damaged(header(Feed::Quotes).as_bytes()).0, 0);
}

#[test]
fn the_same_snapshot_twice_names_both() {
    let mut lake = Lake::new();
    let text = header(Feed::Quotes);
    let plain = lake.file("one/202004011320_flashpanel.csv", &text);
    lake.file("202004011330_flashpanel.csv", &text);
    let packed = lake.file("202004011320_flashpanel.csv.gz", gzip(text.as_bytes()));
    let error = lake.try_run().expect_err("the job fails").to_string();
    assert_eq!(
        error,
        format!("{} and {} are the same snapshot: remove one of them", plain.display(), packed.display())
    );
    assert_eq!(lake.published(), [""; 0]);
}

#[test]
fn files_and_folders_that_are_not_there_or_no_folders() {
    let mut lake = Lake::new();
    let path = lake.file("202004011320_flashpanel.csv", header(Feed::Quotes));
    fs::write(lake.out(), "a file").expect("a file");
    let error = lake.try_run().expect_err("out is a file").to_string();
    assert!(error.starts_with(&format!("cannot write {}/.etl: ", lake.out().display())), "{error}");

    fs::remove_file(&path).expect("removed");
    let error = lake.try_run().expect_err("the file is gone").to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    assert!(error.ends_with("; check that the path exists"), "{error}");

    fs::create_dir(&path).expect("a folder");
    fs::remove_file(lake.out()).expect("removed");
    let error = lake.try_run().expect_err("the file is a folder").to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    assert_eq!(lake.published(), [""; 0]);
}

#[test]
fn a_folder_is_written_by_one_job_at_a_time() {
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [quote("PETR4", &[])]);
    let inner = etl::run(&lake.job(), &|_| {
        assert!(matches!(lake.try_run(), Err(EtlError::Busy { .. })));
    });
    inner.expect("the outer job succeeds");
    assert_eq!(lake.quotes().len(), 1);
}
