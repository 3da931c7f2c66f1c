//! One attempt, top to bottom: get ready, run, store, sign.
//!
//! Takes an accepted assignment, gives the delivery that ends its lease. Never
//! talks to the scheduler; the executor does.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Parts,
    arguments::Given,
    folders::Folder,
    layout::Layout,
    meter::Meter,
    output::{Keep, Stored},
    presence, private,
    program::program,
    stage::{Stage, disk},
};
use crate::{
    compute::{Failure, clock, content::RIDE_ALONG_BYTES, function::entry_of, runtime_name},
    model::{
        Assignment, Block, Cid, Delivery, Limits, Manifest, Outcome, Phase, Presence, RECEIPT_TAG,
        Receipt, Usage,
    },
    sandbox,
};

/// What an attempt came to, before it is signed.
struct Ended {
    outcome: Outcome,
    usage: Usage,
    runtime: String,
    blocks: Vec<Block>,
}

/// Runs `assignment` for `owner`; none when it was cancelled, for then nobody
/// waits for a result. The attempt's folder goes when it is dropped: nobody
/// waits for that either.
pub(crate) async fn run(
    parts: &Parts,
    assignment: Assignment,
    owner: String,
    meter: Arc<Meter>,
    cancel: CancellationToken,
) -> Option<(Delivery, Work)> {
    let (started, began) = (clock::unix_ms(), Instant::now());
    let (ended, work) = cancel
        .run_until_cancelled(attempt(parts, &assignment, owner, &meter, &cancel))
        .await?;
    if cancel.is_cancelled() {
        return None;
    }
    let receipt = Receipt {
        timerose: RECEIPT_TAG.to_owned(),
        call: assignment.call,
        invocation: assignment.invocation,
        replica: assignment.replica,
        attempt: assignment.attempt,
        lease: assignment.lease,
        fence: assignment.fence,
        executor: parts.identity.peer().to_string(),
        private: assignment.private.is_some(),
        outcome: ended.outcome,
        usage: ended.usage,
        runtime: ended.runtime,
        started,
        elapsed_ms: millis(began.elapsed()),
        binding: parts.identity.binding(),
        sig: Vec::new(),
    };
    let receipt = match parts.identity.sign_receipt(receipt) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(lease = %assignment.lease, %error, "a receipt could not be signed");
            return None;
        }
    };
    let delivery = Delivery {
        lease: assignment.lease,
        receipt,
        blocks: ended.blocks,
        sources: parts.mesh.own_addresses(),
    };
    Some((delivery, work))
}

/// The folder of an attempt, where one could be made.
pub(crate) type Work = Option<Folder>;

async fn attempt(
    parts: &Parts,
    assignment: &Assignment,
    owner: String,
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
) -> (Ended, Work) {
    let work = match parts.folders.enter(&owner) {
        Ok(work) => work,
        Err(error) => return (Ended::failed(disk(&error), None), None),
    };
    let mut run = Attempt {
        parts,
        assignment,
        owner,
        meter,
        cancel,
        work: work.path(),
        usage: Usage::default(),
    };
    let result = run.result().await;
    let room = match &result {
        Ok(done) => {
            RIDE_ALONG_BYTES.saturating_sub(done.output.block.as_ref().map_or(0, |b| b.data.len()))
        }
        Err(_) => RIDE_ALONG_BYTES,
    };
    let logs = run
        .keep(Limits::default(), Layout::Raw)
        .logs(&work.path().join("stderr"), room / 2)
        .await
        .unwrap_or(None);
    let ended = match result {
        Ok(done) => Ended::done(done, logs, run.usage),
        Err(failure) => Ended {
            usage: run.usage,
            ..Ended::failed(failure, logs)
        },
    };
    (ended, Some(work))
}

/// A run that went well.
struct Done {
    output: Stored,
    exit: i32,
    runtime: String,
}

struct Attempt<'a> {
    parts: &'a Parts,
    assignment: &'a Assignment,
    owner: String,
    meter: &'a Arc<Meter>,
    cancel: &'a CancellationToken,
    work: &'a Path,
    usage: Usage,
}

impl<'a> Attempt<'a> {
    async fn result(&mut self) -> Result<Done, Failure> {
        let wait = Duration::from_millis(self.assignment.fetch_ms);
        let content = &self.parts.content;
        content.remember(self.assignment.blocks.iter().cloned())?;
        self.meter.enter(Phase::Fetching);
        let call = content.call(&self.assignment.call, wait).await?;
        let manifest = content.manifest(&call.function, wait).await?;
        let broken = Arc::new(Mutex::new(None));
        let stage = self.stage(wait, &broken);
        if !self.account(call.input.as_ref()).await.is_complete {
            stage.connect(&self.assignment.sources).await;
        }
        let entry = entry_of(&manifest, &call)?;
        let program = program(
            (self.parts, &stage),
            self.assignment,
            (&manifest, &call),
            entry,
        );
        let program = program.await?;
        let began = Instant::now();
        let input = stage.input(call.input.as_ref()).await?;
        let input = private::opened(input, self.assignment.private.as_ref(), &broken);
        let limits = manifest.limits.tightened_by(self.assignment.limits);
        let given = Given::of(&stage, &manifest, &call, input, limits).await?;
        if given.input_dir.is_some() && self.usage.fetched_bytes > 0 {
            self.parts
                .stats
                .fetched(self.usage.fetched_bytes, began.elapsed());
        }
        self.meter.enter(Phase::Running);
        self.parts.stats.begin();
        let output = self
            .sandboxed(&manifest, program, given)
            .await
            .map_err(|error| {
                let cause = broken.lock().take();
                cause.unwrap_or_else(|| error.into())
            })?;
        self.parts
            .stats
            .ran(&call.function, Duration::from_micros(output.usage.run_us));
        self.meter.enter(Phase::Storing);
        let stored = self
            .keep(limits, Layout::of(&manifest.runtime))
            .output(&output)
            .await?;
        Ok(Done {
            output: stored,
            exit: output.exit,
            runtime: self.ran_by(&manifest),
        })
    }

    fn stage(&self, wait: Duration, broken: &Arc<Mutex<Option<Failure>>>) -> Stage<'a> {
        Stage {
            content: &self.parts.content,
            kubo: &self.parts.kubo,
            work: self.work,
            wait,
            max_bytes: self.parts.config.max_unpacked_bytes,
            meter: Arc::clone(self.meter),
            broken: Arc::clone(broken),
        }
    }

    /// Notes how much of the input lies here already.
    async fn account(&mut self, input: Option<&Cid>) -> Presence {
        let Some(input) = input else {
            return Presence {
                is_complete: true,
                ..Presence::default()
            };
        };
        if let Some(data) = self.parts.content.in_memory(input) {
            self.usage.local_bytes = data.len() as u64;
            return Presence {
                is_complete: true,
                ..Presence::default()
            };
        }
        let presence = match self.parts.presences.get(input) {
            Some(presence) => presence,
            None => presence::look(&self.parts.kubo, input)
                .await
                .unwrap_or_default(),
        };
        self.usage.local_bytes = presence.local_bytes;
        self.usage.fetched_bytes = presence
            .missing_bytes
            .saturating_add(presence.unknown_bytes);
        presence
    }

    async fn sandboxed(
        &mut self,
        manifest: &Manifest,
        program: sandbox::Program,
        given: Given,
    ) -> Result<sandbox::Output, sandbox::Error> {
        let attempt = sandbox::Attempt {
            owner: self.owner.clone(),
            program,
            args: given.args,
            env: manifest.env.clone(),
            stdin: given.stdin,
            input_dir: given.input_dir,
            work: self.work.to_owned(),
            limits: manifest.limits.tightened_by(self.assignment.limits),
        };
        self.meter.logs_to(self.work.join("stderr"));
        let result = self.parts.sandboxes.run(attempt, self.cancel.clone()).await;
        if let Ok(output) = &result {
            self.usage.run_ms = output.usage.run_us.div_ceil(1000);
            self.usage.fuel = output.usage.fuel;
            self.usage.memory_bytes = output.usage.memory_peak_bytes;
        }
        result
    }

    /// What ran the code, as receipts say it.
    fn ran_by(&self, manifest: &Manifest) -> String {
        let engine = self.parts.sandboxes.engine(manifest.runtime.sandbox());
        format!("{} {engine}", runtime_name(&manifest.runtime))
    }

    fn keep(&self, limits: Limits, layout: Layout) -> Keep<'_> {
        Keep {
            kubo: &self.parts.kubo,
            label: self.assignment.invocation.to_string(),
            limits,
            layout,
            key: self.assignment.private.as_ref().map(|private| &private.key),
        }
    }
}

impl Ended {
    fn done(done: Done, logs: Option<Stored>, usage: Usage) -> Self {
        let outcome = Outcome::Ok {
            output: done.output.cid,
            digest: done.output.digest,
            archive: done.output.is_archive,
            logs: logs.as_ref().map(|l| l.cid),
            exit: done.exit,
        };
        let blocks = done
            .output
            .block
            .into_iter()
            .chain(logs.and_then(|l| l.block))
            .collect();
        Self {
            outcome,
            usage,
            runtime: done.runtime,
            blocks,
        }
    }

    fn failed(failure: Failure, logs: Option<Stored>) -> Self {
        let outcome = Outcome::Err {
            class: failure.class,
            message: failure.message,
            logs: logs.as_ref().map(|l| l.cid),
        };
        Self {
            outcome,
            usage: Usage::default(),
            runtime: "none".to_owned(),
            blocks: logs.and_then(|l| l.block).into_iter().collect(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
