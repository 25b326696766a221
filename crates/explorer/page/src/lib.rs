//! The explorer's page: the files of `crates/explorer/web` and ECharts, as the build script embeds them.

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    /// The path below `web/`, with `/` between folders.
    pub path: &'static str,
    /// The media type.
    pub mime: &'static str,
    /// The entity tag, with quotes: the digest of the uncompressed bytes.
    pub etag: &'static str,
    /// The content, compressed with gzip.
    pub gzip: &'static [u8],
}

/// All files of the page.
pub static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
