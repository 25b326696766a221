//! The source of Apache ECharts, for the web application to embed.
//!
//! The crate `charming` contains ECharts, but has no public item that returns it. Its public `ImageRenderer::new` passes
//! the source to a JavaScript engine, `deno_core`. The workspace replaces that engine by a recorder
//! (`[patch.crates-io]` in the root `Cargo.toml`, code in `recorder/`), and [`source`] returns what was recorded.
//! `serde_v8` and `handlebars`, which `charming` needs beside the engine to render charts, are replaced likewise.
//!
//! So Cargo downloads ECharts as it downloads every other crate, with a checksum in `Cargo.lock`. The build starts no
//! program and reads no file of another crate: it works offline after `cargo fetch`, with `cargo vendor`, with
//! `cargo install --path` and with a compiler cache. No copy of ECharts is kept in this repository, and V8 is not built.
//!
//! This is a build dependency: nothing of it is linked into the program.

/// The version of ECharts in the version of `charming` that the workspace pins.
pub const VERSION: &str = "5.5.1";

/// Returns the minified source of ECharts.
///
/// # Panics
/// When `charming` no longer passes a script to its engine that declares this [`VERSION`]. The version of `charming` is
/// pinned, so that happens at an upgrade and at no other time.
pub fn source() -> String {
    charming::ImageRenderer::new(1, 1);
    let declaration = format!("version=\"{VERSION}\"");
    deno_core::take_recorded_scripts()
        .into_iter()
        .find(|script| script.contains(&declaration))
        .unwrap_or_else(|| panic!("charming gave its JavaScript engine no script that declares {declaration}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_whole_library() {
        let source = source();
        assert!(source.len() > 900_000, "{} bytes", source.len());
        assert!(source.contains("Licensed to the Apache Software Foundation"));
        assert!(source.trim_end().ends_with("}));"), "{}", &source[source.len() - 40..]);
    }
}
