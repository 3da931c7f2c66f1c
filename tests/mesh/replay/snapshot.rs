//! The state of two nodes that nothing may change, and counts of envelopes.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{mesh::Mesh, state::count};

/// The nodes whose state counts.
const NODES: [usize; 2] = [0, 1];
/// Tables that hold promises and results.
const TABLES: [&str; 7] = [
    "receipts",
    "records",
    "keys",
    "invocations",
    "attempts",
    "accepted",
    "journal",
];
/// Counters that stand for state.
const COUNTERS: [&str; 6] = [
    "executor.runs",
    "mesh.sessions",
    "mesh.sessions_begun",
    "mesh.sessions_ended",
    "mesh.listed",
    "mesh.resubscribed",
];

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Rows of the store.
    rows: Vec<u64>,
    counters: Vec<u64>,
    /// Every invocation: its state, and how often it was tried.
    invocations: BTreeSet<(String, String, u32)>,
    /// Every node that is known: how it is reached, and who may be deaf.
    nodes: BTreeSet<(String, String)>,
    unmet: Vec<String>,
}

impl Snapshot {
    /// Of both nodes.
    pub(super) async fn of(mesh: &Mesh) -> Vec<Self> {
        let mut both = Vec::new();
        for index in NODES {
            both.push(Self::of_node(mesh, index).await);
        }
        both
    }

    async fn of_node(mesh: &Mesh, index: usize) -> Self {
        let (client, home) = (mesh.client(index), mesh.node(index).sidecar.home());
        let rows = TABLES.map(|table| count(home, &format!("SELECT count(*) FROM {table}")));
        let node = client.node().await.unwrap();
        let counters = COUNTERS.map(|name| node.counters[name]);
        let records = client.records(true).await.unwrap().into_iter();
        let nodes = client.nodes().await.unwrap().into_iter();
        Self {
            rows: rows.to_vec(),
            counters: counters.to_vec(),
            invocations: records
                .map(|record| (record.invocation, record.state, record.attempts))
                .collect(),
            nodes: nodes
                .map(|node| (node.peer, format!("{:?} {:?}", node.reach, node.carrier)))
                .collect(),
            unmet: node.health.unmet,
        }
    }
}

/// What differs between two moments.
pub(super) fn changes(before: &[Snapshot], after: &[Snapshot]) -> Vec<String> {
    let mut changes = Vec::new();
    for (index, (before, after)) in before.iter().zip(after).enumerate() {
        let plain = |one: &Snapshot| format!("{:?}", (&one.rows, &one.counters, &one.unmet));
        if plain(before) != plain(after) {
            changes.push(format!("{index}: {} -> {}", plain(before), plain(after)));
        }
        for one in before.invocations.symmetric_difference(&after.invocations) {
            changes.push(format!("{index}: {one:?}"));
        }
        for one in before.nodes.symmetric_difference(&after.nodes) {
            changes.push(format!("{index}: {one:?}"));
        }
    }
    changes
}

/// What became of the envelopes that reached a node.
pub(super) async fn envelopes(mesh: &Mesh, index: usize) -> BTreeMap<String, u64> {
    let counters = mesh.client(index).node().await.unwrap().counters;
    let is_about = |name: &String| {
        let seen = ["mesh.received", "mesh.overflowed"].contains(&name.as_str());
        seen || name.starts_with("mesh.refused.")
    };
    counters
        .into_iter()
        .filter(|(name, _)| is_about(name))
        .collect()
}
