//! When nobody takes a call: who would have, and why not.
//!
//! Takes what a search found, gives what its caller is told, or has a durable
//! one wait. Never looks itself.

use super::{
    drive::{Door, Driven, Driver},
    placement::Found,
};
use crate::{compute::Failure, model::Class};

impl Driver {
    /// Nobody runs it now: who waits is told, what is durable waits itself.
    pub(super) async fn park(&self, found: &Found) -> Driven {
        if let Door::Durable(_) = self.door {
            return Driven::Parked;
        }
        self.finish(Err(self.nobody(found)), None).await;
        Driven::Over
    }

    /// Why no candidate may run it.
    pub(super) fn nobody(&self, found: &Found) -> Failure {
        let candidates = &found.explanation.candidates;
        let reasons: Vec<String> = candidates
            .iter()
            .filter_map(|c| Some(format!("{}: {}", c.peer, c.veto.as_ref()?)))
            .collect();
        if candidates.is_empty() {
            return Failure::new(Class::Refused, "no_executor", "no executor was found").with_hint(
                "let this node run code itself, or give it peers: timerose daemon --peer ADDRESS",
            );
        }
        if self.prepared.request.local_only {
            let message = format!(
                "nobody nearby holds the whole input: {}",
                reasons.join("; ")
            );
            return Failure::new(Class::Refused, "not_local", message)
                .with_hint("leave out --local-only to let it be fetched");
        }
        let failure = Failure::new(
            Class::Refused,
            "no_executor",
            format!("no executor takes it: {}", reasons.join("; ")),
        );
        match reasons.iter().find_map(|r| r.split_once("can type: ")) {
            Some((_, line)) => {
                failure.with_hint(format!("send this line to that node's operator: {line}"))
            }
            None => failure.with_hint("see every candidate with: timerose invoke --dry-run"),
        }
    }
}

/// Who would run it, best first.
pub(super) fn willing(found: &Found) -> Vec<String> {
    found
        .explanation
        .candidates
        .iter()
        .filter(|c| c.veto.is_none())
        .map(|c| c.peer.clone())
        .collect()
}
