//! Verifies what an executor delivered before anybody sees it.
//!
//! Takes a delivery and what was asked for, gives the receipt, or why it does
//! not count.

use moka::sync::Cache;

use super::prepare::Prepared;
use crate::{
    compute::{Failure, private},
    model::{Binding, Class, Delivery, LeaseId, PeerId, Receipt},
    wire::{
        self, Refusal,
        binding::{self, Bound},
        dagcbor,
    },
};

/// Bindings that are remembered.
const MAX_BINDINGS: u64 = 1_024;

/// Bindings that were checked: an executor signs a day's receipts under one or
/// two of them. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Bindings(Cache<Binding, Bound>);

impl Default for Bindings {
    fn default() -> Self {
        Self(Cache::new(MAX_BINDINGS))
    }
}

impl Bindings {
    fn check(&self, binding: &Binding) -> Result<Bound, Refusal> {
        if let Some(known) = self.0.get(binding) {
            return Ok(known);
        }
        let bound = binding::verify_ever(binding)?;
        self.0.insert(binding.clone(), bound.clone());
        Ok(bound)
    }
}

/// A receipt that was verified, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    /// The receipt.
    pub(super) receipt: Receipt,
    /// It was made for an earlier invocation of the same call.
    pub(super) is_memo: bool,
}

/// Checks signature, binding, and that the receipt is of this call and lease.
///
/// # Errors
/// One line that names what does not fit.
pub(super) fn verify(
    delivery: &Delivery,
    from: &PeerId,
    lease: LeaseId,
    asked: &Prepared,
    bindings: &Bindings,
) -> Result<Verified, String> {
    let receipt: Receipt = dagcbor::decode(&delivery.receipt).map_err(|why| why.to_string())?;
    let signed = wire::receipt::verify_with(&receipt, |binding| bindings.check(binding));
    signed.map_err(|refusal| refusal.to_string())?;
    if receipt.executor != from.to_string() {
        return Err(format!(
            "it is signed by {}, not by the executor",
            receipt.executor
        ));
    }
    if receipt.call != asked.call_cid {
        return Err(format!(
            "it is of the call {}, not of {}",
            receipt.call, asked.call_cid
        ));
    }
    let is_memo = receipt.invocation != asked.invocation;
    let may_be_memo =
        asked.request.cache && asked.manifest.pure && receipt.outcome.output().is_some();
    if is_memo && !may_be_memo {
        return Err(format!("it is of the invocation {}", receipt.invocation));
    }
    if !is_memo && receipt.lease != lease {
        return Err(format!("it is of the lease {}", receipt.lease));
    }
    for block in &delivery.blocks {
        wire::verify_block(&block.cid, &block.data)
            .map_err(|error| format!("{}: {error}", block.cid))?;
    }
    let key = asked.private.as_ref().map(|private| &private.key);
    private::check(&receipt, delivery, key)?;
    Ok(Verified { receipt, is_memo })
}

/// What the receipt says of the outcome.
pub(super) fn outcome(receipt: &Receipt) -> Result<(), Failure> {
    let failure = Failure::of_outcome(&receipt.outcome);
    failure.map_or(Ok(()), |failure| Err(explained(failure, receipt)))
}

/// Failures that a hint helps.
fn explained(failure: Failure, receipt: &Receipt) -> Failure {
    match failure.class {
        Class::User if receipt.outcome.logs().is_some() => {
            let invocation = receipt.invocation;
            failure.with_hint(format!("what the function wrote to its standard error: timerose logs {invocation}"))
        }
        Class::Node => {
            let (executor, invocation) = (&receipt.executor, receipt.invocation);
            failure.with_hint(format!("{executor} failed, not the function; who else could run it: timerose explain {invocation}"))
        }
        Class::Deadline => failure.with_hint("the function's own limit is limits.wall_ms; a call can only tighten it"),
        Class::Missing => {
            failure.with_hint("connect to a node that has it (ipfs swarm connect ADDRESS), or wait longer with --fetch-timeout")
        }
        _ => failure,
    }
}
