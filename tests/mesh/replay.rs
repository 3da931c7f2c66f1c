//! A recorded run, said again: it changes nothing.
//!
//! A third node listens on the inbox topics of two others and on the topic of
//! adverts while they work for one another over pubsub. What it heard comes
//! again at four moments: as if the senders' own Kubos had published it, all of
//! it, put into the sidecars' subscriptions by the proxy before their Kubos;
//! and a part of it published by the third node's Kubo.

mod recording;
mod snapshot;

use std::{collections::BTreeMap, time::Duration};

use timerose::compute::InvokeRequest;
use tokio::time::Instant;

use self::{recording::Recording, snapshot::Snapshot};
use crate::{
    batch::{SLOW, TENTH, slow_on},
    faults::fib,
    support::{
        chaos::Chaos,
        mesh::{Mesh, invoke, until},
    },
};

const FIB: &[u8] = include_bytes!("fib.wat");
/// Envelopes that the recording holds at least.
const ENVELOPES: usize = 10_000;
/// Callers on each side.
const CALLERS: u32 = 8;
/// One of so many frames comes again through the third Kubo.
const SHARE: usize = 20;
/// A node that does not exist.
const NOBODY: &str = "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5";
/// A recording may take so long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Two nodes that work, a third that listens, and what it heard.
struct Scene {
    mesh: Mesh,
    chaos: Vec<Chaos>,
    function: String,
    recording: Recording,
}

impl Scene {
    async fn begin() -> Self {
        let mut mesh = Mesh::with_carrier(3, "pubsub").await;
        let chaos = mesh.behind_chaos(40).await;
        let function = mesh.deploy(0, FIB).await;
        let recording = Recording::begin(&mesh).await;
        let scene = Self {
            mesh,
            chaos,
            function,
            recording,
        };
        scene.settle().await;
        scene
    }

    /// Node `from` can have node `to` compute; a session that one of them knows
    /// nothing of costs the first call.
    async fn works(&self, from: usize, to: usize) {
        let request = fib(&self.function, &self.mesh.peer(to), 20);
        until("a call is answered", async || {
            invoke(&self.mesh.client(from), &request).await.is_ok()
        })
        .await;
    }

    /// Node `from` has node `to` compute.
    async fn call(&self, from: usize, to: usize) {
        let request = InvokeRequest {
            find_timeout: Duration::from_secs(30),
            ..fib(&self.function, &self.mesh.peer(to), 20)
        };
        invoke(&self.mesh.client(from), &request).await.unwrap();
    }

    /// Every session lives on both sides, and everybody knows everybody.
    async fn settle(&self) {
        self.mesh.is_whole().await;
        for (from, to) in [(0, 1), (1, 0), (2, 0), (2, 1)] {
            self.works(from, to).await;
        }
        self.mesh.is_whole().await;
        until("nothing is under way", async || {
            let before = Snapshot::of(&self.mesh).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            before == Snapshot::of(&self.mesh).await
        })
        .await;
    }

    /// Both call each other until so many envelopes were heard.
    async fn work(&self, envelopes: usize) {
        let began = Instant::now();
        while self.recording.len() < envelopes {
            assert!(began.elapsed() < PATIENCE, "{}", self.recording.len());
            let callers = (0..CALLERS).map(async |_| {
                for _ in 0..10 {
                    tokio::join!(self.call(0, 1), self.call(1, 0));
                }
            });
            futures_util::future::join_all(callers).await;
        }
        let (heard, took) = (self.recording.len(), began.elapsed());
        println!("{heard} envelopes were heard, the last after {took:?}");
    }

    /// Says everything again, and holds it against what was before.
    async fn say_again(&self, moment: &str) {
        let before = Snapshot::of(&self.mesh).await;
        let counted = self.counted().await;
        let began = Instant::now();
        let forged = self.recording.forge(&self.mesh, &self.chaos).await;
        let by_proxy = self.looked_at(&counted).await;
        let counted = self.counted().await;
        let published = self.recording.publish(&self.mesh, SHARE).await;
        let by_kubo = self.looked_at(&counted).await;
        println!("{moment}, {:?}:", began.elapsed());
        for (said, seen) in [(forged, by_proxy), (published, by_kubo)] {
            let arrived = seen.values().sum::<u64>();
            println!("  of {said}, {arrived} were looked at: {seen:?}");
            assert!(arrived * 100 >= said * 97, "{arrived} of {said}");
        }
        let changes = snapshot::changes(&before, &Snapshot::of(&self.mesh).await);
        assert!(changes.is_empty(), "{moment}: {changes:#?}");
    }

    async fn counted(&self) -> [BTreeMap<String, u64>; 2] {
        let (a, b) = tokio::join!(
            snapshot::envelopes(&self.mesh, 0),
            snapshot::envelopes(&self.mesh, 1)
        );
        [a, b]
    }

    /// What became of the envelopes since, on both nodes together.
    async fn looked_at(&self, before: &[BTreeMap<String, u64>; 2]) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (now, before) in self.counted().await.into_iter().zip(before) {
            for (name, count) in now {
                let before = before.get(&name).copied().unwrap_or_default();
                *sums.entry(name).or_default() += count - before;
            }
        }
        sums
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_recorded_envelopes_said_again_at_four_moments_change_nothing() {
    let mut scene = Scene::begin().await;
    scene.work(ENVELOPES / 4).await;
    // A farewell and a second session belong to the recording.
    scene.mesh.node_mut(1).sidecar.restart().await.unwrap();
    scene.settle().await;
    scene.work(ENVELOPES).await;
    scene.recording.end().await;
    scene.recording.holds_every_kind();
    scene.settle().await;
    let (running, waiting) = open_work(&scene.mesh).await;

    scene.say_again("in the same session").await;
    end(&scene.mesh, &running).await;
    scene.mesh.node_mut(0).sidecar.stop().await.unwrap();
    scene.mesh.node_mut(0).sidecar.restart().await.unwrap();
    scene.settle().await;
    scene
        .say_again("after a farewell, in the next session")
        .await;
    for (node, moment) in [
        (1, "after the executor's death"),
        (0, "after the owner's death"),
    ] {
        scene.mesh.node_mut(node).sidecar.kill9().await.unwrap();
        scene.mesh.node_mut(node).sidecar.restart().await.unwrap();
        scene.settle().await;
        scene.say_again(moment).await;
    }

    scene.settle().await;
    end(&scene.mesh, &waiting).await;
    scene.mesh.end().await;
}

/// Two invocations that stay open: one that runs under a lease, one that waits
/// for a node that is not there.
async fn open_work(mesh: &Mesh) -> (String, String) {
    let slow = mesh.deploy(0, SLOW.as_bytes()).await;
    let client = mesh.client(0);
    let submit = async |executor: &str| {
        let request = InvokeRequest {
            timeout: Duration::from_secs(900),
            ..slow_on(&slow, executor, 1, 400 * TENTH)
        };
        client.submit(&request, None).await.unwrap().invocation
    };
    let running = submit(&mesh.peer(1)).await;
    let waiting = submit(NOBODY).await;
    until("it runs", async || {
        client.record(&running).await.unwrap().state == "active"
    })
    .await;
    (running, waiting)
}

/// Ends an invocation that is open still.
async fn end(mesh: &Mesh, invocation: &str) {
    let client = mesh.client(0);
    client.cancel(invocation).await.unwrap();
    let record = client
        .wait(invocation, Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(record.state, "cancelled", "{record:#?}");
}
