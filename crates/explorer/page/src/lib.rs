//! The explorer's page: the files of `crates/explorer/web` and ECharts, as the build script embeds them.

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    /// Its path below `web/`, with `/` between folders.
    pub path: &'static str,
    /// Its media type.
    pub mime: &'static str,
    /// Its entity tag, with quotes: the digest of its bytes.
    pub etag: &'static str,
    /// Its bytes, compressed.
    pub gzip: &'static [u8],
}

/// All files of the page.
pub static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
