//! The advert: what a node says of itself to the whole mesh.

use std::collections::BTreeMap;

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::BootId;

/// Broadcast periodically while a node lets others run code; signed as an
/// envelope, believed until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advert {
    /// The sidecar's start that says it.
    pub boot: BootId,
    /// What the node does.
    pub roles: Roles,
    /// Sandboxes it offers, with their ABIs: `wasm` → [`wasi`, `scalar`].
    pub runtimes: BTreeMap<String, Vec<String>>,
    /// Attempts it runs at once.
    pub slots: u32,
    /// Slots free when it spoke.
    pub free: u32,
    /// Functions compiled or cached here, newest first, at most 32.
    pub warm: Vec<Cid>,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// Swarm addresses with `/p2p/…`, at most 8.
    pub addresses: Vec<String>,
    /// Program and version.
    pub agent: String,
    /// Milliseconds between adverts; an entry lives three times as long.
    pub period_ms: u64,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Runs attempts.
    pub executor: bool,
    /// Owns invocations.
    pub scheduler: bool,
}
