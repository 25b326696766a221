//! The functions that the model's steps name are there, in the files that it names.

use std::path::Path;

/// What names functions.
const SOURCES: [(&str, &str); 7] = [
    ("run.rs", include_str!("../src/run.rs")),
    ("catalog.rs", include_str!("../src/catalog.rs")),
    ("vacuum.rs", include_str!("../src/vacuum.rs")),
    ("operator.rs", include_str!("../src/operator.rs")),
    ("lake.rs", include_str!("../src/lake.rs")),
    ("view.rs", include_str!("../src/view.rs")),
    ("system.rs", include_str!("../src/system.rs")),
];

/// The files and functions that a text names as `FILE::FUNCTION`, in the form of `docs/semantics.md`.
fn named(text: &str) -> Vec<(&str, &str)> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter_map(|code| code.split_once(".rs::")).collect()
}

#[test]
fn every_function_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the model lies in the repository");
    for (source, text) in SOURCES {
        let comments: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("//")).collect();
        for (file, name) in comments.iter().flat_map(|comment| named(comment)) {
            let path = root.join(format!("{file}.rs"));
            let code =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{source} names {file}.rs: {error}"));
            let exists = [format!("fn {name}("), format!("fn {name}<")].iter().any(|start| code.contains(start));
            assert!(exists, "{source}: {file}.rs has no function {name}");
        }
    }
}

#[test]
fn every_step_names_a_function() {
    for (source, text) in &SOURCES[..4] {
        let start = text.find("pub enum Step {").expect("a module of steps");
        let steps = &text[start..start + text[start..].find("\n}").expect("its end")];
        let mut comment = String::new();
        let mut steps_seen = 0;
        for line in steps.lines().skip(1) {
            match line.strip_prefix("    ") {
                Some(line) if line.starts_with("///") => comment += line,
                Some(line) if line.starts_with(char::is_uppercase) => {
                    let is_broken = comment.starts_with("/// Only in a broken protocol");
                    assert!(is_broken || !named(&comment).is_empty(), "{source}: {line} names no function");
                    comment.clear();
                    steps_seen += 1;
                }
                _ => {}
            }
        }
        assert!(steps_seen > 3, "{source} has {steps_seen} steps");
    }
}
