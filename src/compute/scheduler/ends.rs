//! The words for ends that no executor caused.

use crate::{
    compute::Failure,
    model::{Class, Phase},
};

/// Somebody asked for the end.
pub(super) fn cancelled() -> Failure {
    let message = "the invocation was cancelled";
    Failure::new(Class::Cancelled, "cancelled", message)
}

/// The deadline came; `phase` is how far the newest try was.
pub(super) fn out_of_time(phase: Option<Phase>) -> Failure {
    let doing = match phase {
        None => "before an executor took it",
        Some(Phase::Queued) => "while it waited for a slot",
        Some(Phase::Fetching) => "while its input was fetched",
        Some(Phase::Running) => "while it ran",
        Some(Phase::Storing) => "while its output was stored",
    };
    let message = format!("the invocation's time ran out {doing}");
    Failure::new(Class::Deadline, "deadline", message)
        .with_hint("give it more with --timeout, such as --timeout 10m")
}
