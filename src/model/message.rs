//! What sidecars say to each other over a link.
//!
//! Every variant is handled idempotently: the link delivers each at least
//! once while a session lives, in any order, and a new session may repeat.

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::{InvocationId, LeaseId, Limits, Private};

/// One message; the sender is known from the envelope, never from in here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message is moved once, from the link to its role"
)]
pub enum Message {
    /// Scheduler → candidate: could you, and what do you hold of it?
    Probe(Probe),
    /// The candidate's own account.
    Report(CandidateReport),
    /// Scheduler → executor: run this.
    Offer(Box<Assignment>),
    /// Executor → scheduler: it is mine now.
    Accept {
        /// Of the offer.
        lease: LeaseId,
    },
    /// Executor → scheduler: not here.
    Decline {
        /// Of the offer.
        lease: LeaseId,
        /// Why, for people.
        reason: String,
    },
    /// Executor → scheduler: these are alive. One for all leases of a scheduler.
    Heartbeat {
        /// Rises; its answer names it.
        number: u64,
        /// Every open lease of that scheduler.
        leases: Vec<Lease>,
    },
    /// Scheduler → executor: which of them still count. Also sent without a
    /// heartbeat before it, to ask.
    HeartbeatAck {
        /// Of the heartbeat; 0 where it answers none.
        number: u64,
        /// Extended by their ttl.
        known: Vec<LeaseId>,
        /// To be ended.
        cancel: Vec<LeaseId>,
        /// What the scheduler counts on: results are to be sent again, what
        /// is not there is to be declined.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked: Vec<LeaseId>,
    },
    /// Executor → scheduler: done, here is the signed receipt.
    Result(Delivery),
    /// Scheduler → executor: you may forget it.
    ResultAck {
        /// Of the result.
        lease: LeaseId,
        /// What became of it.
        verdict: Verdict,
    },
    /// Scheduler → executor: what does it write to its standard error?
    Follow(Follow),
    /// The next of it.
    Piece(Piece),
    /// Scheduler → executor: end it. Also answers a lease not offered yet.
    Cancel {
        /// To be ended.
        lease: LeaseId,
    },
}

/// Asks a candidate for its account of itself and of the bytes it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Matches the report to the question.
    pub id: u64,
    /// The function that is to run.
    pub function: Cid,
    /// Its code.
    pub code: Cid,
    /// Its sandbox and ABI, `wasm/wasi`.
    pub runtime: String,
    /// The input that is to be read; none where it rides along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Cid>,
}

/// A candidate's answer; its session proves who gives it, so it is also the
/// answer to the challenge that a provider record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateReport {
    /// Of the probe.
    pub id: u64,
    /// Why it would decline, if it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veto: Option<String>,
    /// Attempts it runs at once.
    pub slots: u32,
    /// Slots free now.
    pub free: u32,
    /// Attempts waiting for a slot.
    pub queued: u32,
    /// Mean run time of this function here, milliseconds, where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_ms: Option<u64>,
    /// The function's code is here.
    pub has_code: bool,
    /// The function is compiled here.
    pub is_warm: bool,
    /// Bytes per second this node has seen when fetching; 0 when it has seen none.
    pub fetch_bytes_per_s: u64,
    /// What it holds of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Presence>,
}

/// How many of an input's bytes lie on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// Bytes seen here.
    pub local_bytes: u64,
    /// Bytes seen to be absent.
    pub missing_bytes: u64,
    /// Bytes the bounded look did not reach.
    pub unknown_bytes: u64,
    /// A recursive pin or a whole walk proves that everything is here.
    pub is_complete: bool,
}

/// The owner's decision to run one attempt on one executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// For which invocation.
    pub invocation: InvocationId,
    /// What is to run: the CID of a [`super::Call`], whose block rides along.
    pub call: Cid,
    /// Which replica, from 0.
    pub replica: u32,
    /// Which try, from 1.
    pub attempt: u32,
    /// The right to run it.
    pub lease: LeaseId,
    /// Orders tries of one replica.
    pub fence: u64,
    /// Milliseconds of silence the lease survives.
    pub ttl_ms: u64,
    /// Milliseconds until the invocation's deadline.
    pub remaining_ms: u64,
    /// Milliseconds a fetch of input or code may wait for its first byte.
    pub fetch_ms: u64,
    /// Caps, already tightened.
    pub limits: Limits,
    /// A remembered receipt of the same call will do.
    pub memo: bool,
    /// The owner keeps it over a restart, so the executor journals it too.
    pub durable: bool,
    /// Where blocks may be fetched: swarm addresses with `/p2p/…`, at most 16.
    pub sources: Vec<String>,
    /// Small blocks that ride along: call, manifest, input.
    pub blocks: Vec<Block>,
    /// Of a private invocation: what opens its input and seals its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<Private>,
}

/// A lease as its executor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Which.
    pub lease: LeaseId,
    /// How far it is.
    pub progress: Progress,
}

/// How far an attempt is; rises only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// What it does now.
    pub phase: Phase,
    /// Bytes of input read so far.
    pub input_bytes: u64,
}

/// The parts of an attempt, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Waits for a slot.
    Queued,
    /// Gets code and input.
    Fetching,
    /// Runs in the sandbox.
    Running,
    /// Stores output and logs, signs.
    Storing,
}

/// Asks for what an attempt wrote to its standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// Matches the piece to the question.
    pub id: u64,
    /// Whose.
    pub lease: LeaseId,
    /// From this byte on.
    pub from: u64,
}

/// Bytes of an attempt's standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Of the question.
    pub id: u64,
    /// Where they begin.
    pub from: u64,
    /// The bytes; none where nothing was written for a while.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The lease does not run here any more.
    pub is_over: bool,
}

/// A finished attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Which lease it ends.
    pub lease: LeaseId,
    /// The receipt's canonical bytes.
    #[serde(with = "serde_bytes")]
    pub receipt: Vec<u8>,
    /// Small blocks that ride along: output, logs.
    pub blocks: Vec<Block>,
    /// Where larger ones can be fetched: swarm addresses with `/p2p/…`.
    pub sources: Vec<String>,
}

/// What became of a delivered result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is the invocation's one result.
    Accepted,
    /// Another one was first, or the lease was over.
    Late,
    /// It does not verify.
    Mismatch,
}

/// A block that rides along; the receiver hashes it before use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Its name.
    pub cid: Cid,
    /// Its bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

impl Message {
    /// Whether it speaks to the executor role; all else is for the scheduler.
    #[must_use]
    pub const fn is_for_executor(&self) -> bool {
        matches!(
            self,
            Self::Probe(_)
                | Self::Offer(_)
                | Self::HeartbeatAck { .. }
                | Self::ResultAck { .. }
                | Self::Cancel { .. }
                | Self::Follow(_)
        )
    }

    /// Whether nobody waits for it: it may ride with what comes a moment later.
    #[must_use]
    pub const fn may_wait(&self) -> bool {
        matches!(self, Self::ResultAck { .. })
    }

    /// The word for logs and counters.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Probe(_) => "probe",
            Self::Report(_) => "report",
            Self::Offer(_) => "offer",
            Self::Accept { .. } => "accept",
            Self::Decline { .. } => "decline",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatAck { .. } => "heartbeat_ack",
            Self::Result(_) => "result",
            Self::ResultAck { .. } => "result_ack",
            Self::Cancel { .. } => "cancel",
            Self::Follow(_) => "follow",
            Self::Piece(_) => "piece",
        }
    }
}
