//! What the doors show of a node: the JSON of everything that is no invocation.
//!
//! Plain values, the same over HTTP and in the CLI's `--enc=json`. Times are
//! Unix milliseconds, sizes bytes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{compute::ByteStream, model::Roles};

/// A node as this one sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Peer ID.
    pub peer: String,
    /// How it can be spoken to.
    pub reach: Reach,
    /// What it does.
    pub roles: Roles,
    /// Sandboxes it offers, with their ABIs.
    pub runtimes: BTreeMap<String, Vec<String>>,
    /// Attempts it runs at once.
    pub slots: u32,
    /// Slots free when it last spoke.
    pub free: u32,
    /// Functions compiled there.
    pub warm: u32,
    /// What carries messages to it, `stream` or `pubsub`; absent without a
    /// direct link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The peer that forwards to it, of one that is `forwarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Round trip of the link, once measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// When it was last heard; absent for this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<u64>,
    /// Its operator's labels.
    pub labels: BTreeMap<String, String>,
    /// Program and version.
    pub agent: String,
}

/// How a node can be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// It is this node.
    This,
    /// Over an open link.
    Direct,
    /// Over another member's link.
    Forwarded,
    /// Not at present.
    Unreachable,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Peer ID of the Kubo beside it.
    pub peer: String,
    /// Kubo's swarm addresses.
    pub addresses: Vec<String>,
    /// Where its own API listens.
    pub api: Vec<String>,
    /// This start's id.
    pub boot: String,
    /// TimeRose's version.
    pub version: String,
    /// Kubo's version.
    pub kubo: String,
    /// The mesh's name.
    pub mesh: String,
    /// Whether it can do its work, and if not, why.
    pub health: Health,
    /// Runtimes that it does not offer now, and why.
    #[serde(default)]
    pub lacking: BTreeMap<String, String>,
    /// Counters since the start, by name.
    pub counters: BTreeMap<String, u64>,
}

/// Whether a node can do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Nothing is unmet.
    pub ready: bool,
    /// What is missing, one sentence each.
    pub unmet: Vec<String>,
}

/// What a program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// TimeRose's version.
    pub version: String,
    /// The API's, as in the path.
    pub api: String,
}

/// Who may run code here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// A peer ID, or `any`.
    pub peer: String,
    /// When it ends; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// `self`, `config` or `command`: only the last can be removed by command.
    pub source: String,
}

/// A function that is no longer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The manifest's CID.
    pub function: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What is kept, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// `functions`, `results`, `receipts`, `compiled`, …
    pub kind: String,
    /// How many.
    pub count: u64,
    /// How much.
    pub bytes: u64,
}

/// Everything that TimeRose keeps, and its bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// By kind.
    pub kept: Vec<Kept>,
    /// How long results stay.
    pub keep_ms: u64,
    /// How much they may take together.
    pub max_bytes: u64,
}

/// What `gc` or `purge` removed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// Nothing was done.
    pub dry_run: bool,
    /// By kind.
    pub removed: Vec<Kept>,
}

/// The bytes of an output.
pub struct Output {
    /// The output's CID.
    pub cid: String,
    /// The bytes are a TAR archive of a directory, all of it under one top
    /// folder, as Kubo's `get` makes it; otherwise the file itself.
    pub is_directory: bool,
    /// The bytes; an error in the stream means that they are incomplete.
    pub bytes: ByteStream,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cid, is_directory, ..
        } = self;
        f.debug_struct("Output")
            .field("cid", cid)
            .field("is_directory", is_directory)
            .finish()
    }
}
