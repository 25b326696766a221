//! The environment that all states of an execution share.

use std::sync::Arc;

use serde_json::Value;

use super::clock::Clock;
use super::journal::{EventChain, Journal};
use super::probe::Probe;
use super::tasks::Tasks;
use crate::data::{ExecutionContext, MapItem, Variables};

/// The inputs and services of an execution.
pub(super) struct Environment<'a> {
    pub(super) context: &'a ExecutionContext,
    pub(super) input: &'a Value,
    pub(super) tasks: &'a dyn Tasks,
    pub(super) journal: Journal<'a>,
    pub(super) clock: &'a dyn Clock,
    /// How often the execution was redriven.
    pub(super) redrives: u64,
    /// The test of a single state, if it is one.
    pub(super) probe: Option<&'a Probe>,
}

/// The part of an execution in which a state runs: a chain of events, the item of a Map state, and variables.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) environment: &'a Environment<'a>,
    pub(super) chain: EventChain,
    pub(super) item: Option<&'a MapItem>,
    /// The variables as they are when the state is entered.
    pub(super) variables: Arc<Variables>,
}
