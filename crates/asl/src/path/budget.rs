//! How much a path may look at and copy.

use serde_json::Value;

/// Many times what a payload holds, and still a fraction of a second.
const WORK: usize = 1 << 22;

/// So many bytes of text are copied in the time that a node takes.
const BYTES_A_NODE: usize = 16;

/// What is left of the work that one path may make.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(WORK)
    }
}

impl Budget {
    /// Takes off what it costs to look at the children of a node, so many times; `None` when there is less left.
    pub(super) fn visit_children(&mut self, node: &Value, times: usize) -> Option<()> {
        let children = match node {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        self.take(children.saturating_add(1).saturating_mul(times))
    }

    /// Takes off what it costs to look at everything in a node, so many times.
    pub(super) fn visit_all(&mut self, node: &Value, times: usize) -> Option<()> {
        self.take(times)?;
        match node {
            Value::Array(items) => items.iter().try_for_each(|item| self.visit_all(item, times)),
            Value::Object(fields) => fields.values().try_for_each(|field| self.visit_all(field, times)),
            _ => Some(()),
        }
    }

    /// Takes off what it costs to copy a node.
    pub(super) fn copy(&mut self, node: &Value) -> Option<()> {
        let text = |text: &str| 1 + text.len() / BYTES_A_NODE;
        match node {
            Value::String(value) => self.take(text(value)),
            Value::Array(items) => {
                self.take(1)?;
                items.iter().try_for_each(|item| self.copy(item))
            }
            Value::Object(fields) => {
                self.take(1)?;
                fields.iter().try_for_each(|(name, field)| {
                    self.take(text(name))?;
                    self.copy(field)
                })
            }
            _ => self.take(1),
        }
    }

    fn take(&mut self, work: usize) -> Option<()> {
        self.0 = self.0.checked_sub(work)?;
        Some(())
    }
}
