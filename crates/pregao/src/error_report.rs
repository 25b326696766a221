//! Errors with hints: what the user can do about them.

use std::error::Error as StdError;
use std::fmt;

use console::style;

/// Adds a hint to an error, which is printed below it as `hint: ...`.
pub(crate) trait Hint<T> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint))
    }
}

/// Adds a hint to an error.
pub(crate) fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { hint: hint.into(), error: error.into() })
}

/// Returns an error with a hint.
pub(crate) fn fail<T>(message: impl fmt::Display, hint: impl Into<String>) -> anyhow::Result<T> {
    Err(hinted(anyhow::anyhow!("{message}"), hint))
}

/// An error with a hint. It displays as the error itself.
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

/// Returns an error and its causes, up to the first [`lake::Error`]: its text includes the texts of its own causes.
pub(crate) fn causes(error: &anyhow::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut is_complete = false;
    error.chain().take_while(move |cause| {
        let is_taken = !is_complete;
        is_complete |= cause.is::<lake::Error>();
        is_taken
    })
}

/// Returns the message of an error with those of its causes, and its hints.
pub(crate) fn message_and_hints(error: &anyhow::Error) -> (String, Vec<String>) {
    let (mut messages, mut hints): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for cause in causes(error) {
        let message = cause.to_string();
        // Many errors include the message of their cause.
        if !messages.last().is_some_and(|last| last.contains(&message)) {
            messages.push(message);
        }
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            hints.push(hinted.hint.clone());
        }
    }
    (messages.join(": "), hints)
}

/// Returns the text that is printed for an error, with colours if stderr has them.
pub(crate) fn report(error: &anyhow::Error) -> String {
    let (message, hints) = message_and_hints(error);
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
    fn an_error_is_reported_with_its_causes_and_hints() {
        let cause = std::io::Error::other("no space left");
        let error = Err::<(), _>(cause).context("cannot write x").hint("free some space").context("demo").unwrap_err();
        assert_eq!(report(&error), "error: demo: cannot write x: no space left\nhint: free some space\n");
        assert!(error.chain().any(|cause| cause.is::<std::io::Error>()), "the cause can still be asked for");
    }

    #[test]
    fn the_causes_of_an_error_of_the_lake_are_in_its_text() {
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let error = anyhow::Error::new(lake::Error::body("s3://b/k")(broken)).context("verify");
        assert_eq!(report(&error), "error: verify: reading s3://b/k: broken pipe\n");
        assert!(!causes(&error).any(|cause| cause.is::<std::io::Error>()), "it is not that of our output");
    }

    #[test]
    fn a_repeated_cause_is_reported_once() {
        let error = anyhow::anyhow!("b: c").context("a: b: c");
        assert_eq!(report(&error), "error: a: b: c\n");
    }
}
