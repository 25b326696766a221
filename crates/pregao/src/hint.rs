//! Errors that say what to do.

use std::error::Error as StdError;
use std::fmt;

use console::style;

/// Adds to an error what the user can do about it, printed as `hint: ...` below it.
pub trait Hint<T> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint))
    }
}

/// The same error with a hint.
pub fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { hint: hint.into(), error: error.into() })
}

/// Ends a command with an error and a hint.
pub fn fail<T>(message: impl fmt::Display, hint: impl Into<String>) -> anyhow::Result<T> {
    Err(hinted(anyhow::anyhow!("{message}"), hint))
}

/// An error as if it were itself, carrying its hint along.
#[derive(Debug)]
struct Hinted {
    hint: String,
    error: anyhow::Error,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl StdError for Hinted {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.error.as_ref())
    }
}

/// The text of an error: its message with those of its causes, and its hints.
pub fn words(error: &anyhow::Error) -> (String, Vec<String>) {
    let (mut messages, mut hints): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for cause in error.chain() {
        let message = cause.to_string();
        // Errors often repeat the one behind them; saying it once is enough.
        if !messages.last().is_some_and(|last| last.contains(&message)) {
            messages.push(message);
        }
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            hints.push(hinted.hint.clone());
        }
    }
    (messages.join(": "), hints)
}

/// What is printed of an error. Its colours are those of the standard error.
pub fn report(error: &anyhow::Error) -> String {
    let (message, hints) = words(error);
    let mut text = format!("{} {message}\n", style("error:").for_stderr().red().bold());
    for hint in hints {
        text += &format!("{} {hint}\n", style("hint:").for_stderr().cyan());
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn report(error: &anyhow::Error) -> String {
        console::strip_ansi_codes(&super::report(error)).into_owned()
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_hints() {
        let cause = std::io::Error::other("no space left");
        let error = Err::<(), _>(cause).context("cannot write x").hint("free some space").context("demo").unwrap_err();
        assert_eq!(report(&error), "error: demo: cannot write x: no space left\nhint: free some space\n");
        assert!(error.chain().any(|cause| cause.is::<std::io::Error>()), "the cause can still be asked for");
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        let error = anyhow::anyhow!("b: c").context("a: b: c");
        assert_eq!(report(&error), "error: a: b: c\n");
    }
}
