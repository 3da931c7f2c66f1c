//! A sidecar's mesh over a fake Kubo, for the tests of the mesh.

use std::{collections::HashMap, future::Future, time::Duration};

use tempfile::TempDir;
use timerose::{
    mesh::{Address, Config, DownReason, Event, Events, Identity, Mesh},
    model::{BootId, Message, Probe},
    task::Tasks,
    wire::cid_of,
};
use tokio::time::{Instant, timeout};

use crate::support::fake_kubo::{FakeKubo, FakeNet};

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One node.
pub(crate) struct Node {
    pub(crate) kubo: FakeKubo,
    pub(crate) mesh: Mesh,
    pub(crate) events: Events,
    pub(crate) tasks: Tasks,
    pub(crate) boot: BootId,
    home: TempDir,
}

impl Node {
    /// A node of the mesh `test` that can be reached.
    pub(crate) async fn start(net: &FakeNet) -> Self {
        Self::start_with(net, |_| {}).await
    }

    pub(crate) async fn start_with(net: &FakeNet, change: impl FnOnce(&mut Config)) -> Self {
        let (kubo, home) = (FakeKubo::start(net).await, tempfile::tempdir().unwrap());
        let (mesh, events, tasks, boot) = sidecar(&kubo, &home, change).await;
        Self {
            kubo,
            mesh,
            events,
            tasks,
            boot,
            home,
        }
    }

    /// The sidecar dies without a word and starts anew with the same key.
    pub(crate) async fn restart_sidecar(&mut self) {
        assert!(self.tasks.shutdown(PATIENCE).await);
        (self.mesh, self.events, self.tasks, self.boot) =
            sidecar(&self.kubo, &self.home, |_| {}).await;
    }

    pub(crate) fn address(&self) -> Address {
        self.mesh.me()
    }

    /// Links up with another node.
    pub(crate) async fn link(&self, other: &Self) {
        let addresses = [other.kubo.swarm_address()];
        self.mesh
            .connect(&other.address(), &addresses, PATIENCE)
            .await
            .unwrap();
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .unwrap()
    }

    /// The next message's number and sender.
    pub(crate) async fn message(&mut self) -> (Address, u64) {
        loop {
            if let Event::Message {
                from,
                message: Message::Probe(probe),
            } = self.event().await
            {
                return (from, probe.id);
            }
        }
    }

    /// Why the next session that ends has ended.
    pub(crate) async fn down(&mut self) -> DownReason {
        loop {
            if let Event::Down(_, reason) = self.event().await {
                return reason;
            }
        }
    }

    /// Takes messages until `count` different ones came from `from`, and those
    /// that follow within a moment; gives how often each came.
    pub(crate) async fn collect(&mut self, from: &Address, count: usize) -> HashMap<u64, u32> {
        let mut got = HashMap::new();
        while got.len() < count {
            let (sender, number) = self.message().await;
            if sender == *from {
                *got.entry(number).or_default() += 1;
            }
        }
        while let Ok((sender, number)) = timeout(Duration::from_millis(300), self.message()).await {
            if sender == *from {
                *got.entry(number).or_default() += 1;
            }
        }
        got
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn sidecar(
    kubo: &FakeKubo,
    home: &TempDir,
    change: impl FnOnce(&mut Config),
) -> (Mesh, Events, Tasks, BootId) {
    let mut config = Config {
        mesh: "test".to_owned(),
        ..Config::default()
    };
    change(&mut config);
    let identity = Identity::open(&home.path().join("key"), &kubo.client())
        .await
        .unwrap();
    let (tasks, boot) = (Tasks::new(), identity.boot());
    let (mesh, events) = Mesh::bind(config, kubo.client(), identity, &tasks);
    assert!(mesh.ready(PATIENCE).await, "{:?}", mesh.health());
    (mesh, events, tasks, boot)
}

/// A message that a number tells from others.
pub(crate) fn message(number: u64) -> Message {
    let cid = cid_of(0x55, b"some function");
    let runtime = "wasm/wasi".to_owned();
    Message::Probe(Probe {
        id: number,
        function: cid,
        code: cid,
        runtime,
        input: None,
    })
}

/// Sends messages with the numbers below `count`.
pub(crate) async fn send_all(mesh: Mesh, to: Address, count: u64) {
    for number in 0..count {
        mesh.send(&to, message(number)).await.unwrap();
    }
}

/// Waits until something is so.
pub(crate) async fn eventually<F, Fut>(what: &str, is_so: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let until = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
