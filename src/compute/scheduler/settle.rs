//! What an accepted result comes to: remembered, dialled, told.
//!
//! Takes the winning receipt of an invocation, gives what its caller sees.
//! Never judges a receipt; `verify` has.

use std::time::Duration;

use super::drive::{Course, Door, Driver, millis};
use crate::{
    compute::{
        Failure, Finished, clock,
        content::unreachable_kubo,
        forwarded::explained,
        memo::{Known, Memo},
    },
    kubo::PinAdd,
    model::{Cid, Class, LeaseId, Outcome, Receipt},
    store::Memory,
    wire::{block::RAW, dagcbor, unixfs::is_directory},
};

/// How long the root of a directory may take to arrive.
const DIRECTORY_WAIT: Duration = Duration::from_secs(10);

impl Driver {
    /// The one result: remembered, then told.
    pub(super) async fn accept(
        &self,
        course: &mut Course,
        lease: LeaseId,
    ) -> Result<Finished, Failure> {
        let Some((verified, delivery)) = course.results.remove(&lease) else {
            return Err(Failure::new(
                Class::Node,
                "internal",
                "the accepted result is gone",
            ));
        };
        let content = &self.parts.content;
        content.remember(delivery.blocks.iter().cloned())?;
        self.remember_executor(course, &verified.receipt);
        let known = Known {
            receipt: delivery.receipt,
            blocks: delivery.blocks,
        };
        let executor = verified.receipt.executor.clone();
        let mesh = &self.parts.mesh;
        let is_around = executor.parse().is_ok_and(|peer| mesh.via(&peer).is_some());
        if known.blocks.is_empty() && !is_around {
            self.dial(&delivery.sources).await;
        }
        let finished = self.finished(verified.receipt, known, verified.is_memo);
        finished.await.map_err(|f| explained(f, &executor, mesh))
    }

    async fn finished(
        &self,
        receipt: Receipt,
        known: Known,
        cached: bool,
    ) -> Result<Finished, Failure> {
        let Outcome::Ok {
            output,
            logs,
            exit,
            archive,
            ..
        } = receipt.outcome
        else {
            return Err(Failure::new(
                Class::Node,
                "internal",
                "a failure was taken for a result",
            ));
        };
        let cid = self.learn(&receipt, &known).await;
        if matches!(self.door, Door::Durable(_)) {
            self.keep_output(&output, &known.blocks).await?;
        }
        self.pin_for_good(&output).await?;
        Ok(Finished {
            invocation: self.prepared.invocation.to_string(),
            call: self.prepared.call_cid.to_string(),
            function: self.prepared.call.function.to_string(),
            output: output.to_string(),
            is_directory: match receipt.private {
                true => archive,
                false => self.is_directory(&output).await,
            },
            receipt: cid.to_string(),
            executor: receipt.executor,
            cached,
            elapsed_ms: millis(self.prepared.submitted.elapsed()),
            bytes_moved: if cached {
                0
            } else {
                receipt.usage.fetched_bytes
            },
            bytes_local: receipt.usage.local_bytes,
            exit,
            usage: receipt.usage,
            logs: logs.map(|cid| cid.to_string()),
            private: receipt.private,
        })
    }

    /// Remembers a receipt and the blocks that go with it; gives its CID. What
    /// is private and durable is on disk then.
    async fn learn(&self, receipt: &Receipt, known: &Known) -> Cid {
        let call = self.prepared.blocks.iter().take(1);
        let blocks: Vec<_> = known.blocks.iter().chain(call).cloned().collect();
        if receipt.private {
            let rows = Memo::rows(&known.receipt, receipt, &blocks, false);
            self.keep_rows(rows).await;
        }
        let (memo, is_pure) = (&self.parts.memo, self.prepared.manifest.pure);
        memo.learn(&known.receipt, receipt, blocks, is_pure)
    }

    async fn pin_for_good(&self, output: &Cid) -> Result<(), Failure> {
        if !self.prepared.request.pin {
            return Ok(());
        }
        let options = PinAdd {
            name: Some(format!("timerose/kept/{}", self.prepared.invocation)),
            ..PinAdd::default()
        };
        let pinned = self.parts.kubo.pin_add(output, &options).await;
        pinned.map_err(|e| unreachable_kubo(&e, "pinning the output"))
    }

    /// An earlier receipt of the same call.
    pub(super) async fn remembered(&self) -> Option<Finished> {
        if !(self.prepared.request.cache && self.prepared.manifest.pure) {
            return None;
        }
        let known = self.parts.memo.recall(&self.prepared.call_cid).await?;
        let receipt: Receipt = dagcbor::decode(&known.receipt).ok()?;
        self.parts
            .content
            .remember(known.blocks.iter().cloned())
            .ok()?;
        self.finished(receipt, known, true).await.ok()
    }

    async fn is_directory(&self, output: &Cid) -> bool {
        if output.codec() == RAW {
            return false;
        }
        let root = self.parts.content.block(output, DIRECTORY_WAIT).await;
        root.ok().and_then(is_directory).unwrap_or(false)
    }

    fn remember_executor(&self, course: &Course, receipt: &Receipt) {
        let addresses = course
            .found
            .addresses
            .get(&receipt.executor)
            .cloned()
            .unwrap_or_default();
        let addresses = serde_json::to_string(&addresses).unwrap_or_default();
        if let Ok(peer) = receipt.executor.parse() {
            self.parts.mesh.remember(&peer);
        }
        let executor = receipt.executor.clone();
        let memory = Memory::Executor(executor, addresses, clock::unix_ms());
        self.parts.store.remember([memory]);
    }

    async fn dial(&self, sources: &[String]) {
        for address in sources.iter().take(4) {
            if self.parts.kubo.swarm_connect(address).await.is_ok() {
                return;
            }
        }
    }
}
