//! What `compute` tells the doors: events of a running invocation, its end,
//! its record afterwards.

use serde::{Deserialize, Serialize};

use super::{Explanation, Failure};
use crate::model::{Limits, Phase, Runtime, Usage};

/// A function that can be invoked now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// The manifest's CID: the function's name.
    pub function: String,
    /// The code's CID.
    pub code: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What runs it.
    pub runtime: String,
    /// The exports that can be called.
    pub entries: Vec<String>,
    /// Caps on every attempt.
    pub limits: Limits,
    /// Equal calls are answered from memory.
    pub pure: bool,
}

/// What happens to an invocation, in order; ends with `Done` or `Failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum InvocationEvent {
    /// It has an owner and a name.
    Accepted {
        /// Its name.
        invocation: String,
        /// The CID of its call.
        call: String,
    },
    /// Candidates are being looked for.
    Finding,
    /// An executor took it.
    Placed {
        /// Peer ID.
        executor: String,
        /// Which try, from 1.
        attempt: u32,
        /// Milliseconds predicted.
        predicted_ms: u64,
    },
    /// The executor got further.
    Progress {
        /// What it does now.
        phase: Phase,
        /// Bytes of input read.
        input_bytes: u64,
    },
    /// A try ended without a result; another may follow.
    Retry {
        /// Whose it was.
        executor: String,
        /// Why.
        reason: String,
    },
    /// It has its one result.
    Done(Box<Finished>),
    /// It ended without one.
    Failed {
        /// Its name.
        invocation: String,
        /// Why.
        error: Failure,
        /// The receipt, where an executor signed the failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
        /// Who ran it last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        executor: Option<String>,
    },
}

impl InvocationEvent {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed { .. })
    }
}

/// A result that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The invocation's name.
    pub invocation: String,
    /// The CID of its call.
    pub call: String,
    /// The function's CID.
    pub function: String,
    /// The output's CID.
    pub output: String,
    /// Whether the output is a directory.
    pub is_directory: bool,
    /// The receipt's CID.
    pub receipt: String,
    /// Who ran it.
    pub executor: String,
    /// A remembered receipt answered.
    pub cached: bool,
    /// Submit to result.
    pub elapsed_ms: u64,
    /// Bytes that moved for it: fetched input and code, output not included.
    pub bytes_moved: u64,
    /// Bytes of input that lay on the executor before.
    pub bytes_local: u64,
    /// The guest's exit code.
    pub exit: i32,
    /// What it used.
    pub usage: Usage,
    /// The logs' CID, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// The CIDs of output and logs name sealed bytes; this node opens them by
    /// the invocation's name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
}

impl Finished {
    /// What its output is asked for by: its CID, or the name of a private
    /// invocation, whose CID opens nothing.
    #[must_use]
    pub fn output_name(&self) -> &str {
        match self.private {
            true => &self.invocation,
            false => &self.output,
        }
    }
}

/// One line of `ps`, and the body of `result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub invocation: String,
    /// `accepted`, `queued`, `active`, `verifying`, `succeeded`, `failed`, `cancelled`, `expired`.
    pub state: String,
    /// The CID of its call.
    pub call: String,
    /// The function's CID.
    pub function: String,
    /// Who runs or ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Tries so far.
    pub attempts: u32,
    /// Unix milliseconds of submission.
    pub submitted: u64,
    /// Milliseconds since, or until its end.
    pub elapsed_ms: u64,
    /// The result, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Finished>,
    /// The failure, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Why it ran where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// How a runtime is written: `wasm/wasi`, `docker`, `lambda/python3.12`.
#[must_use]
pub fn runtime_name(runtime: &Runtime) -> String {
    match runtime {
        Runtime::Wasm { abi, .. } => format!("wasm/{}", abi.as_str()),
        Runtime::Docker { .. } => runtime.sandbox().to_owned(),
        Runtime::Lambda(lambda) => {
            let runtime = lambda.runtime.as_deref().unwrap_or("image");
            format!("lambda/{runtime}")
        }
    }
}
