//! The forms in which a raw file comes: line ends, byte-order mark, compression.

use std::io::Write;

use etl::Progress;
use flate2::Compression;
use flate2::write::GzEncoder;
use market::snapshot::Feed;
use std::sync::Mutex;

use crate::lake::{Lake, header, quote};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

#[test]
fn the_form_of_a_file_changes_nothing() {
    let lines = [quote("PETR4", &[("Ult", "15,73")]), quote("VALE3", &[("Ult", "x")]), "ragged".to_owned()];
    let plain = format!("{}{}\n", header(Feed::Quotes), lines.join("\n"));
    let name = "202004011320_flashpanel.csv";
    let rows = |name: &str, bytes: &[u8]| {
        let mut lake = Lake::new();
        lake.file(name, bytes);
        let report = lake.run();
        assert_eq!(report.totals.bytes, bytes.len() as u64);
        let rejects = lake.rejects().into_iter().map(|mut row| {
            assert_eq!(row.remove("source_file"), Some(crate::lake::text(name)));
            row
        });
        (lake.quotes(), rejects.collect::<Vec<_>>())
    };
    let expected = rows(name, plain.as_bytes());
    assert_eq!((expected.0.len(), expected.1.len()), (2, 2));

    let crlf = plain.replace('\n', "\r\n");
    let half = plain.len() / 2;
    let two_members = [gzip(&plain.as_bytes()[..half]), gzip(&plain.as_bytes()[half..])].concat();
    let forms: [(&str, Vec<u8>); 8] = [
        (name, crlf.clone().into_bytes()),
        (name, plain.trim_end().into()),
        (name, format!("\u{feff}{plain}").into_bytes()),
        (name, format!("\u{feff}\r\n\n{crlf}\r\n\r\n").into_bytes()),
        (name, plain.replace("202004011320", "\"any, thing\"").into_bytes()),
        ("202004011320_flashpanel.csv.gz", gzip(plain.as_bytes())),
        ("202004011320_flashpanel.csv.gz", gzip(format!("\u{feff}{crlf}").as_bytes())),
        ("202004011320_flashpanel.csv.gz", two_members),
    ];
    for (number, (name, bytes)) in forms.iter().enumerate() {
        assert_eq!(rows(name, bytes), expected, "form {number}");
    }
}

#[test]
fn progress_ends_at_the_bytes_on_disk() {
    let mut lake = Lake::new();
    let text = format!("{}{}", header(Feed::Quotes), format!("{}\n", quote("PETR4", &[])).repeat(30_000));
    lake.file("202004011320_flashpanel.csv", &text);
    let compressed = gzip(text.as_bytes());
    lake.file("202004011330_flashpanel.csv.gz", &compressed);
    let total = (text.len() + compressed.len()) as u64;

    let seen = Mutex::new(Vec::new());
    etl::run(&lake.job(), &|progress| seen.lock().expect("no panic").push(progress)).expect("the job succeeds");
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.len() > 3, "{seen:?}");
    assert!(seen.iter().all(|progress| progress.total == total));
    assert_eq!(seen.iter().map(|progress| progress.read).max(), Some(total));
    assert!(!seen.contains(&Progress { read: 0, total }));
}
