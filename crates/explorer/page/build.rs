//! Embeds the page: compresses every file of `web/` and ECharts, and computes their digests, which are their entity tags.
//!
//! This script reads only files of the explorer, and starts no program. ECharts comes from the crate `echarts`.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest, Sha1};

/// The folder of the page, relative to this crate.
const WEB: &str = "../web";

fn main() {
    println!("cargo::rerun-if-changed={WEB}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let mut files = Vec::new();
    collect(Path::new(WEB), &mut files);
    files.sort();
    let mut assets: Vec<(String, Vec<u8>)> = files
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(WEB).expect("the file was found below it").display().to_string();
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
            (name, bytes)
        })
        .collect();
    assets.push(("echarts.js".to_owned(), echarts::source().into_bytes()));

    let mut table = String::from("&[\n");
    for (at, (path, bytes)) in assets.iter().enumerate() {
        let packed = format!("{at}.gz");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("writing to a Vec cannot fail");
        fs::write(out.join(&packed), encoder.finish().expect("writing to a Vec cannot fail"))
            .unwrap_or_else(|error| panic!("cannot write {packed} in {}: {error}", out.display()));
        let digest: String = Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        table.push_str(&format!(
            "    Asset {{ path: {path:?}, mime: {:?}, etag: \"\\\"{digest}\\\"\", \
             gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{packed}\")) }},\n",
            mime(path),
        ));
    }
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table)
        .unwrap_or_else(|error| panic!("cannot write assets.rs in {}: {error}", out.display()));
}

/// Adds the files below a folder to `files`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display())) {
        let path = entry.expect("a readable folder entry").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// Returns the media type of a file by its extension.
fn mime(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => panic!("{path}: add the media type of this extension to build.rs"),
    }
}
