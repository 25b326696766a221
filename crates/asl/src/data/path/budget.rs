//! A limit on the nodes that a path visits and copies.

use serde_json::Value;

/// The number of nodes that one path may visit or copy: many times those of the largest payload, and a fraction of a
/// second of work.
const MAX_NODES: usize = 1 << 22;

/// The number of bytes of text that are copied in about the time of one node.
const BYTES_PER_NODE: usize = 16;

/// The number of nodes that a path may still visit or copy.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_NODES)
    }
}

impl Budget {
    /// Charges for visiting the children of a node this many times. Returns `None` if the budget is exceeded.
    pub(super) fn visit_children(&mut self, node: &Value, times: usize) -> Option<()> {
        let children = match node {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        self.charge(children.saturating_add(1).saturating_mul(times))
    }

    /// Charges for visiting a node and all its descendants this many times. Returns `None` if the budget is exceeded.
    pub(super) fn visit_all(&mut self, node: &Value, times: usize) -> Option<()> {
        self.charge(times)?;
        match node {
            Value::Array(items) => items.iter().try_for_each(|item| self.visit_all(item, times)),
            Value::Object(fields) => fields.values().try_for_each(|field| self.visit_all(field, times)),
            _ => Some(()),
        }
    }

    /// Charges for copying a node. Returns `None` if the budget is exceeded.
    pub(super) fn copy(&mut self, node: &Value) -> Option<()> {
        let text = |text: &str| 1 + text.len() / BYTES_PER_NODE;
        match node {
            Value::String(value) => self.charge(text(value)),
            Value::Array(items) => {
                self.charge(1)?;
                items.iter().try_for_each(|item| self.copy(item))
            }
            Value::Object(fields) => {
                self.charge(1)?;
                fields.iter().try_for_each(|(name, field)| {
                    self.charge(text(name))?;
                    self.copy(field)
                })
            }
            _ => self.charge(1),
        }
    }

    fn charge(&mut self, nodes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(nodes)?;
        Some(())
    }
}
