//! What the fakes of one test share: who lives, who provides what.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use cid::Cid;
use libp2p_identity::PeerId;

use super::state::State;

pub(crate) type Node = Arc<State>;

/// A world of fakes. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct FakeNet {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    nodes: BTreeMap<PeerId, Node>,
    /// In the order of announcement.
    providers: HashMap<Vec<u8>, Vec<PeerId>>,
    connections: BTreeSet<(PeerId, PeerId)>,
}

impl FakeNet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(super) fn enter(&self, node: Node) {
        self.inner.lock().unwrap().nodes.insert(node.peer(), node);
    }

    /// Gone, with its connections; its provider records stay.
    pub(super) fn leave(&self, peer: PeerId) {
        let mut inner = self.inner.lock().unwrap();
        inner.nodes.remove(&peer);
        inner.connections.retain(|(a, b)| *a != peer && *b != peer);
    }

    pub(super) fn node(&self, peer: PeerId) -> Option<Node> {
        self.inner.lock().unwrap().nodes.get(&peer).cloned()
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        self.inner.lock().unwrap().nodes.values().cloned().collect()
    }

    pub(super) fn connect(&self, a: PeerId, b: PeerId) {
        self.inner
            .lock()
            .unwrap()
            .connections
            .extend([(a, b), (b, a)]);
    }

    /// The nodes that `peer` is connected to.
    pub(super) fn neighbours(&self, peer: PeerId) -> Vec<Node> {
        let inner = self.inner.lock().unwrap();
        let pairs = inner.connections.iter().filter(|(a, _)| *a == peer);
        pairs
            .filter_map(|(_, b)| inner.nodes.get(b).cloned())
            .collect()
    }

    /// Records are per multihash, as in the DHT.
    pub(super) fn provide(&self, cid: Cid, peer: PeerId) {
        let mut inner = self.inner.lock().unwrap();
        let list = inner.providers.entry(cid.hash().to_bytes()).or_default();
        if !list.contains(&peer) {
            list.push(peer);
        }
    }

    pub(super) fn providers(&self, cid: &Cid) -> Vec<PeerId> {
        let inner = self.inner.lock().unwrap();
        inner
            .providers
            .get(&cid.hash().to_bytes())
            .cloned()
            .unwrap_or_default()
    }
}
