//! Packs the page: every file of `web/`, and ECharts, compressed once, with the digest that browsers keep them by.
//!
//! ECharts comes with the crate `charming`, which charts by it. That crate has no public function that gives it, so it
//! is read from the crate's own folder, which Cargo knows: so nothing is fetched, and no copy of it is kept here.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest, Sha1};

const ECHARTS: &str = "src/asset/echarts-5.5.1.min.js";

fn main() {
    println!("cargo::rerun-if-changed=web");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo names the folder for what is made"));
    let mut files = Vec::new();
    collect(Path::new("web"), &mut files);
    files.sort();
    let mut assets: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|file| {
            let below = file.strip_prefix("web").expect("it was found there").display().to_string();
            (below, file)
        })
        .collect();
    assets.push(("echarts.js".to_owned(), charming().join(ECHARTS)));

    let mut table = String::from("&[\n");
    for (at, (path, file)) in assets.iter().enumerate() {
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let packed = out.join(format!("{at}.gz"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).expect("memory takes all bytes");
        fs::write(&packed, encoder.finish().expect("memory takes all bytes"))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", packed.display()));
        let digest: String = Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        table.push_str(&format!(
            "    Asset {{ path: {path:?}, mime: {:?}, etag: \"\\\"{digest}\\\"\", gzip: include_bytes!({:?}) }},\n",
            mime(path),
            packed.display().to_string(),
        ));
    }
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table).expect("Cargo's folder can be written");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display())) {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

fn mime(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => panic!("{path}: say in build.rs what type it is of"),
    }
}

/// The folder of the crate `charming`, as Cargo resolved it.
fn charming() -> PathBuf {
    let cargo = env::var_os("CARGO").expect("Cargo names itself");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform"])
        .arg(env::var_os("HOST").expect("Cargo names the host"))
        .output()
        .expect("Cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("Cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "charming")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("charming is a build dependency");
    Path::new(manifest).parent().expect("a manifest is in a folder").to_owned()
}
