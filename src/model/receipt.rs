//! The receipt: the signed record of what one attempt produced.

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::{Binding, InvocationId, LeaseId};

/// The value of a receipt's `timerose` field.
pub const RECEIPT_TAG: &str = "receipt/1";

/// Canonical DAG-CBOR, itself a CID, verifiable by anyone without a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Always [`RECEIPT_TAG`].
    pub timerose: String,
    /// The CID of the call that ran.
    pub call: Cid,
    /// The invocation it ran for.
    pub invocation: InvocationId,
    /// Which replica of the invocation, from 0.
    pub replica: u32,
    /// Which try of that replica, from 1.
    pub attempt: u32,
    /// The lease under which it ran.
    pub lease: LeaseId,
    /// The token that orders tries of one replica.
    pub fence: u64,
    /// The executor's peer ID.
    pub executor: String,
    /// Output and logs are sealed, and the digest is keyed: only the owner of
    /// the invocation, and who ran it, can read or compare them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// What ran it, with version: `wasm/wasi wasmtime-48.0.8`.
    pub runtime: String,
    /// Unix milliseconds at which the attempt began, by the executor's clock.
    pub started: u64,
    /// Milliseconds from acceptance to outcome, by the executor's clock.
    pub elapsed_ms: u64,
    /// Who the signer is; embedded, so that it verifies offline.
    pub binding: Binding,
    /// The sidecar key over `"timerose/receipt/1\0" ‖ canonical receipt with an empty sig`.
    #[serde(with = "serde_bytes")]
    pub sig: Vec<u8>,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Outcome {
    /// The code ran to its end.
    Ok {
        /// The output, UnixFS.
        output: Cid,
        /// sha2-256 of the output's bytes, or of a directory's root block; of a
        /// private invocation the keyed digest of what was sealed.
        #[serde(with = "serde_bytes")]
        digest: Vec<u8>,
        /// What was sealed is a directory as a TAR archive.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        archive: bool,
        /// Standard error, UnixFS, where there was any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logs: Option<Cid>,
        /// The guest's exit code.
        exit: i32,
    },
    /// It did not.
    Err {
        /// Whose fault, and so what helps.
        class: Class,
        /// One line that names the cause.
        message: String,
        /// Standard error, UnixFS, where there was any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logs: Option<Cid>,
    },
}

/// Whose fault a failure is; decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The code or its arguments: trap, exit code, bad argument. Never retried.
    User,
    /// The executor: sandbox, disk. Tried elsewhere.
    Node,
    /// A CID that nobody gave within the wait.
    Missing,
    /// The executor fell silent.
    Lost,
    /// Policy or capacity said no.
    Refused,
    /// Time ran out.
    Deadline,
    /// Somebody asked for the end.
    Cancelled,
}

impl Class {
    /// Whether another executor may do better.
    #[must_use]
    pub const fn is_worth_another_executor(self) -> bool {
        matches!(
            self,
            Self::Node | Self::Lost | Self::Refused | Self::Missing
        )
    }

    /// The word used in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Node => "node",
            Self::Missing => "missing",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What an attempt used, by the executor's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Wall time inside the sandbox, milliseconds.
    pub run_ms: u64,
    /// Fuel spent, where it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Peak linear memory in bytes.
    pub memory_bytes: u64,
    /// Bytes of input that lay on the executor before.
    pub local_bytes: u64,
    /// Bytes of input that had to be fetched.
    pub fetched_bytes: u64,
}

impl Outcome {
    /// The output's CID, of a run that went well.
    #[must_use]
    pub const fn output(&self) -> Option<&Cid> {
        match self {
            Self::Ok { output, .. } => Some(output),
            Self::Err { .. } => None,
        }
    }

    /// The CID of the captured standard error.
    #[must_use]
    pub const fn logs(&self) -> Option<&Cid> {
        match self {
            Self::Ok { logs, .. } | Self::Err { logs, .. } => logs.as_ref(),
        }
    }
}
