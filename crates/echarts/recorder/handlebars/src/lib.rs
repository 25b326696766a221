//! The part of `handlebars`' interface that `charming` compiles against. It renders nothing: see the crate `echarts`.
//!
//! It saves the build twenty crates, as nothing here has `charming` render a chart.

/// A template engine that renders nothing.
#[derive(Debug, Default)]
pub struct Handlebars;

/// The error of every template.
#[derive(Debug)]
pub struct NotRendered;

impl std::fmt::Display for NotRendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("charming renders no templates in this workspace: see crates/echarts")
    }
}

impl std::error::Error for NotRendered {}

impl Handlebars {
    /// Returns an engine.
    pub fn new() -> Self {
        Self
    }

    /// Renders a template.
    ///
    /// # Errors
    /// Always [`NotRendered`].
    pub fn render_template<T>(&self, _template: &str, _data: &T) -> Result<String, NotRendered> {
        Err(NotRendered)
    }
}
