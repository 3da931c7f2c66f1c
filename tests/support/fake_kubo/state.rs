//! One fake's memory: blocks, pins, subscriptions, faults, counters.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use libp2p_identity::{Keypair, PeerId};

use super::{faults::Faults, net::FakeNet, pubsub::Topics};

pub(crate) struct State {
    pub(super) keys: Keypair,
    pub(super) net: FakeNet,
    pub(super) topics: Topics,
    pub(super) published: AtomicUsize,
    inner: Mutex<Inner>,
    port: AtomicU16,
}

#[derive(Default)]
struct Inner {
    /// By multihash, as Kubo's block store.
    blocks: HashMap<Vec<u8>, Bytes>,
    pins: BTreeMap<Cid, String>,
    faults: Faults,
    calls: HashMap<String, usize>,
}

impl State {
    pub(super) fn new(net: FakeNet) -> Arc<Self> {
        Arc::new(Self {
            keys: Keypair::generate_ed25519(),
            net,
            topics: Topics::default(),
            published: AtomicUsize::new(0),
            inner: Mutex::default(),
            port: AtomicU16::new(0),
        })
    }

    pub(crate) fn peer(&self) -> PeerId {
        self.keys.public().to_peer_id()
    }

    pub(super) fn set_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// Without the peer ID.
    pub(super) fn bare_address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port.load(Ordering::Relaxed))
    }

    pub(crate) fn swarm_address(&self) -> String {
        format!("{}/p2p/{}", self.bare_address(), self.peer())
    }

    pub(super) fn faults(&self) -> Faults {
        self.inner.lock().unwrap().faults.clone()
    }

    pub(super) fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.inner.lock().unwrap().faults);
    }

    pub(super) fn count_call(&self, command: &str) {
        *self
            .inner
            .lock()
            .unwrap()
            .calls
            .entry(command.to_owned())
            .or_default() += 1;
    }

    pub(super) fn calls(&self, command: &str) -> usize {
        self.inner
            .lock()
            .unwrap()
            .calls
            .get(command)
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn open_subscriptions(&self) -> usize {
        self.topics.open()
    }

    pub(super) fn block_count(&self) -> usize {
        self.inner.lock().unwrap().blocks.len()
    }

    pub(super) fn forget(&self, cid: &Cid) {
        self.inner
            .lock()
            .unwrap()
            .blocks
            .remove(&cid.hash().to_bytes());
    }

    pub(super) fn put(&self, cid: &Cid, bytes: Bytes) {
        self.inner
            .lock()
            .unwrap()
            .blocks
            .insert(cid.hash().to_bytes(), bytes);
    }

    pub(super) fn local(&self, cid: &Cid) -> Option<Bytes> {
        self.inner
            .lock()
            .unwrap()
            .blocks
            .get(&cid.hash().to_bytes())
            .cloned()
    }

    /// From here or, unless offline, from whoever has it; waits for ever if
    /// nobody does, as bitswap would.
    pub(super) async fn block(&self, cid: &Cid, offline: bool) -> Result<Bytes, String> {
        loop {
            if let Some(bytes) = self.local(cid) {
                return Ok(bytes);
            }
            if offline {
                let missing = format!("ipld: could not find {cid}");
                return Err(format!("block was not found locally (offline): {missing}"));
            }
            let found = self.net.nodes().iter().find_map(|node| node.local(cid));
            match found {
                Some(bytes) => self.put(cid, bytes),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    pub(super) fn pin(&self, cid: Cid, name: String) {
        self.inner.lock().unwrap().pins.insert(cid, name);
    }

    pub(super) fn unpin(&self, cid: &Cid) -> bool {
        self.inner.lock().unwrap().pins.remove(cid).is_some()
    }

    pub(super) fn pins(&self) -> BTreeMap<Cid, String> {
        self.inner.lock().unwrap().pins.clone()
    }
}
