//! The one error shape that leaves `compute`: whose fault, what, what helps.
//!
//! Takes the errors of every room below, gives a [`Failure`] that the doors
//! turn into an exit code or an HTTP status. Never prints.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Class, Outcome},
    sandbox,
};

/// Why something did not happen, complete enough to show to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A stable word for scripts: `not_found`, `bad_cid`, `no_executor`, …
    pub code: String,
    /// Whose fault it is.
    pub class: Class,
    /// One line that names the cause.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same request may succeed later or elsewhere.
    pub retryable: bool,
    /// Milliseconds after which it is worth asking again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure without a hint; retryable as its class is.
    #[must_use]
    pub fn new(class: Class, code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            class,
            message: message.into(),
            hint: None,
            retryable: class.is_worth_another_executor(),
            retry_after_ms: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, worth asking again after `wait`.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retryable = true;
        self.retry_after_ms = u64::try_from(wait.as_millis()).ok();
        self
    }

    /// The failure that a receipt records, if it records one.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Ok { .. } => None,
            Outcome::Err { class, message, .. } => {
                Some(Self::new(*class, class.as_str(), message.clone()))
            }
        }
    }
}

/// What a sandbox's error says to the caller.
impl From<sandbox::Error> for Failure {
    fn from(error: sandbox::Error) -> Self {
        let class = error.class();
        Self::new(class, class.as_str(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_is_the_fault_of_the_code() {
        let trap = sandbox::Error::User(sandbox::Fault::StackOverflow);
        assert_eq!(Failure::from(trap).class, Class::User);
    }
}
