//! A recorder with the part of `deno_core`'s interface that `charming` compiles against. It executes nothing.
//!
//! See the crate `echarts` for why it is there. A script that would have to be executed for its result is an error.

use std::cell::RefCell;

thread_local! {
    static RECORDED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Returns the scripts that this thread has passed to a [`JsRuntime`] since the last call, oldest first.
pub fn take_recorded_scripts() -> Vec<String> {
    RECORDED.take()
}

/// Options of a [`JsRuntime`]. There are none.
#[derive(Debug, Default)]
pub struct RuntimeOptions;

/// A JavaScript engine that records scripts and executes none.
#[derive(Debug)]
pub struct JsRuntime;

/// The error of a script whose result is wanted: the recorder has no results.
#[derive(Debug)]
pub struct NotExecuted;

impl std::fmt::Display for NotExecuted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("scripts are recorded and not executed in this workspace: see crates/echarts")
    }
}

impl std::error::Error for NotExecuted {}

impl JsRuntime {
    /// Returns an engine.
    pub fn new(_options: RuntimeOptions) -> Self {
        Self
    }

    /// Records a script.
    ///
    /// # Errors
    /// [`NotExecuted`] for `[anon]`, the name under which `charming` asks for a result.
    pub fn execute_script(&mut self, name: &'static str, source: String) -> Result<v8::Global, NotExecuted> {
        if name == "[anon]" {
            return Err(NotExecuted);
        }
        RECORDED.with_borrow_mut(|scripts| scripts.push(source));
        Ok(v8::Global)
    }

    /// Returns a scope, which holds nothing.
    pub fn handle_scope(&mut self) -> v8::HandleScope {
        v8::HandleScope
    }
}

/// The types that a script's result would have.
pub mod v8 {
    /// A result outside a scope.
    #[derive(Debug)]
    pub struct Global;

    /// A scope.
    #[derive(Debug)]
    pub struct HandleScope;

    /// A result within a scope.
    #[derive(Debug)]
    pub struct Local;

    impl Local {
        /// Returns the result within the scope.
        pub fn new(_scope: &mut HandleScope, _global: Global) -> Self {
            Self
        }
    }
}
