//! Logs: one subscriber, to standard error.
//!
//! Takes a filter and a form, gives nothing. Never logs secrets or payloads:
//! whoever writes a log line sees to that.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The logs could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("no log filter: {0}")]
pub struct Error(String);

impl Error {
    /// Never: the same filter stays wrong.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        false
    }
}

/// Starts logging what `filter` (`info`, `warn,timerose::mesh=debug`) lets
/// pass, in colours where somebody sees them. A second start changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: Format, colours: bool) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter).map_err(|e| Error(e.to_string()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    let _already_started = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
