//! What a durable invocation keeps on disk while it is driven.
//!
//! Takes the steps of a [`Driver`], gives them to the ledger before anybody is
//! told. A disk that is full holds the invocation up; it loses nothing.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::{
    drive::{Door, Driver},
    lifecycle::Kept,
    open::{self, End},
};
use crate::{
    compute::{Failure, Finished, Record, clock},
    kubo::PinAdd,
    model::{Block, Cid, Class, LeaseId},
    store::{AttemptRow, Error, Memory},
};

/// Pause before what could not be kept is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Driver {
    /// Keeps a try before it is offered, and that it came to nothing.
    pub(super) async fn keep_attempt(
        &self,
        executor: &str,
        lease: LeaseId,
        number: u32,
        is_open: bool,
    ) {
        let Door::Durable(ledger) = &self.door else {
            return;
        };
        let row = AttemptRow {
            lease: lease.to_string(),
            invocation: self.prepared.invocation.to_string(),
            executor: executor.to_owned(),
            number,
            is_open,
        };
        insist(|| ledger.attempt(row.clone())).await;
    }

    /// Keeps the end, and first what opens what a private invocation left.
    pub(super) async fn keep_end(&self, record: &Record, end: &End) {
        let secret = self.prepared.private.as_ref().map(|private| {
            Memory::Secret(
                record.invocation.clone(),
                private.key.clone(),
                clock::unix_ms(),
            )
        });
        let Door::Durable(ledger) = &self.door else {
            self.parts.store.remember(secret);
            return self.open.persist(record);
        };
        if let Some(secret) = secret {
            insist(|| ledger.remember(vec![secret.clone()])).await;
        }
        let row = open::row(record);
        match end {
            End::Dead(_) => insist(|| ledger.bury(row.clone())).await,
            End::Failed(_) => insist(|| ledger.end(row.clone(), None)).await,
            End::Succeeded(finished) => {
                insist(|| ledger.end(row.clone(), Some(finished.receipt.clone()))).await;
            }
        }
    }

    /// What an end means: a durable invocation that only executors failed at
    /// is set aside, not forgotten.
    pub(super) fn meaning(&self, end: Result<Finished, Failure>) -> End {
        match (end, &self.door) {
            (Ok(finished), _) => End::Succeeded(finished),
            (Err(failure), Door::Durable(_)) if failure.class.is_worth_another_executor() => {
                End::Dead(failure)
            }
            (Err(failure), _) => End::Failed(failure),
        }
    }

    /// Puts on disk what a private invocation left, which lies in the store of
    /// this node alone.
    pub(super) async fn keep_rows(&self, rows: Vec<Memory>) {
        if let Door::Durable(ledger) = &self.door {
            insist(|| ledger.remember(rows.clone())).await;
        }
    }

    /// Waits until this node's Kubo has pinned the output, up to the deadline.
    /// A small one of a private invocation stays in the store.
    pub(super) async fn keep_output(&self, output: &Cid, blocks: &[Block]) -> Result<(), Failure> {
        let small: Vec<Block> = blocks
            .iter()
            .filter(|b| b.cid == *output)
            .cloned()
            .collect();
        if self.prepared.private.is_some() && !small.is_empty() {
            return Ok(());
        }
        while Instant::now() < self.prepared.deadline() {
            let is_kept = match small.is_empty() {
                true => self.pin(output).await,
                false => self.parts.memo.kept(small.clone()).await,
            };
            if is_kept {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
        let message = format!("the output {output} could not be pinned in time");
        Err(Failure::new(Class::Deadline, "not_stored", message))
    }

    async fn pin(&self, output: &Cid) -> bool {
        let options = PinAdd {
            name: Some(format!("timerose/output/{}", self.prepared.invocation)),
            is_announced: self.prepared.private.is_none(),
            ..PinAdd::default()
        };
        let pinned = self.parts.kubo.pin_add(output, &options).await;
        pinned
            .inspect_err(|error| warn!(%output, %error, "an output is not pinned yet"))
            .is_ok()
    }
}

/// A kept try as the life cycle takes it.
pub(super) fn kept(row: AttemptRow) -> Option<Kept> {
    Some(Kept {
        lease: row.lease.parse().ok()?,
        executor: row.executor,
        is_open: row.is_open,
    })
}

/// Tries until it is on disk.
async fn insist<T, F>(write: impl Fn() -> F)
where
    F: Future<Output = Result<T, Error>>,
{
    while let Err(error) = write().await {
        warn!(%error, "a durable invocation waits for the disk");
        tokio::time::sleep(AGAIN).await;
    }
}
