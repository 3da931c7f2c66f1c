//! What a life hears and what it wants done: the words of its machine.

use crate::{
    compute::Failure,
    model::{LeaseId, Progress, Verdict},
};

/// A try as it was kept over a restart of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// On which executor.
    pub(crate) executor: String,
    /// Under which lease.
    pub(crate) lease: LeaseId,
    /// Nothing is known of its end.
    pub(crate) is_open: bool,
}

/// What the machine hears.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Executors to try, best first.
    Ranked(Vec<String>),
    /// The executor took the lease.
    Accepted(LeaseId),
    /// It did not.
    Declined(LeaseId, String),
    /// The lease is alive.
    Heard(LeaseId, Progress),
    /// A receipt arrived and verifies; what it says of the outcome.
    Result(LeaseId, Result<(), Failure>),
    /// A receipt arrived and does not verify.
    Forged(LeaseId, String),
    /// The link to an executor broke.
    Down(String),
    /// The caller wants the end.
    Cancel,
    /// Time passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Look for executors and tell by [`Event::Ranked`].
    Find,
    /// Offer the call to `executor` under this lease.
    Offer {
        executor: String,
        lease: LeaseId,
        attempt: u32,
        fence: u64,
    },
    /// The executor took it: tell the caller.
    Placed { executor: String, attempt: u32 },
    /// Tell the caller how far it is.
    Report(Progress),
    /// A try came to nothing: tell the caller.
    Lost {
        executor: String,
        lease: LeaseId,
        attempt: u32,
        reason: String,
    },
    /// Tell the executor to end the lease.
    Revoke { executor: String, lease: LeaseId },
    /// Answer a result; what it led to is done, and kept, before.
    Acknowledge {
        executor: String,
        lease: LeaseId,
        verdict: Verdict,
    },
    /// The end; `Ok` names the lease whose receipt counts.
    Finish(Result<LeaseId, Failure>),
}
