//! Files of `docs/` that are generated from the program.

use std::path::Path;
use std::{env, fs};

/// The command that writes them.
pub(crate) const COMMAND: &str = "PREGAO_WRITE_DOCS=1 cargo test --release -p pregao";

/// Fails if a file below `docs/` differs from the generated text. With `PREGAO_WRITE_DOCS=1`, writes it instead.
pub(crate) fn check(name: &Path, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if env::var_os("PREGAO_WRITE_DOCS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("docs/ can be written");
        fs::write(&path, text).expect("docs/ can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/{} is not current. This writes it: {COMMAND}", name.display());
}
