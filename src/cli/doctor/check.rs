//! One finding of the doctor: what was looked at, how it is, what helps.

use serde::Serialize;

use crate::cli::table::table;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, but not as well or as safely as it could.
    Warn,
    /// It must be repaired.
    Fail,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How it is.
    pub(super) state: State,
    /// What was found.
    pub(super) finding: String,
    /// What helps, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Check {
    /// All is well.
    pub(super) fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            finding: finding.into(),
            fix: None,
        }
    }

    /// It could be better.
    pub(super) fn warn(
        check: &'static str,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            check,
            state: State::Warn,
            finding: finding.into(),
            fix: Some(fix.into()),
        }
    }

    /// It must be repaired.
    pub(super) fn fail(
        check: &'static str,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            check,
            state: State::Fail,
            finding: finding.into(),
            fix: Some(fix.into()),
        }
    }
}

/// As a table.
pub(super) fn show(checks: &[Check]) -> String {
    let rows = checks.iter().map(|c| {
        let state = match c.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        vec![
            state.to_owned(),
            c.check.to_owned(),
            c.finding.clone(),
            c.fix.clone().unwrap_or_default(),
        ]
    });
    table(&["", "CHECK", "FINDING", "FIX"], rows)
}
