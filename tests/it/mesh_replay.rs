//! A recorded run, said again by a third member at four moments: no session
//! begins or ends by it, and nothing is handed on twice.

use std::time::Duration;

use bytes::Bytes;
use timerose::{
    kubo::Subscription,
    mesh::{Event, Health},
    wire::topics,
};
use tokio::time::timeout;

use crate::{
    mesh_node::{Node, eventually, message},
    support::fake_kubo::FakeNet,
};

/// Nothing came meanwhile.
const QUIET: Duration = Duration::from_millis(400);
/// Messages each way, one after the other.
const EXCHANGES: u64 = 100;

/// Two nodes, a third that listens and speaks for others, and what it heard.
struct Scene {
    a: Node,
    b: Node,
    third: Node,
    recorded: Vec<(String, Bytes)>,
}

impl Scene {
    async fn begin() -> Self {
        let net = FakeNet::new();
        let soon_idle = |config: &mut timerose::mesh::Config| {
            config.idle_timeout = Duration::from_secs(8);
        };
        let (a, b) = (
            Node::start_with(&net, soon_idle).await,
            Node::start(&net).await,
        );
        let third = Node::start(&net).await;
        let mut scene = Self {
            a,
            b,
            third,
            recorded: Vec::new(),
        };
        scene.record().await;
        scene
    }

    /// Both speak with each other while the third listens.
    async fn record(&mut self) {
        let ear = self.third.kubo.client();
        let inboxes = [&self.a, &self.b].map(|node| topics::inbox("test", &node.address()));
        let mut heard = Vec::new();
        for inbox in &inboxes {
            heard.push(ear.subscribe(inbox).await.unwrap());
        }
        self.third.link(&self.a).await;
        self.third.link(&self.b).await;
        self.a.link(&self.b).await;
        let (at_a, at_b) = (self.a.address(), self.b.address());
        for number in 0..EXCHANGES {
            self.a.mesh.send(&at_b, message(number)).await.unwrap();
            assert_eq!(self.b.message().await, (at_a.clone(), number));
            self.b.mesh.send(&at_a, message(number)).await.unwrap();
            assert_eq!(self.a.message().await, (at_b.clone(), number));
        }
        for (inbox, subscription) in inboxes.into_iter().zip(&mut heard) {
            let all = drain(subscription).await;
            assert!(all.len() >= 100, "{} were heard", all.len());
            self.recorded
                .extend(all.into_iter().map(|data| (inbox.clone(), data)));
        }
    }

    /// A session of both lives, and all that it brought about was told.
    async fn settle(&mut self) {
        // Of a session that only one side has lost the other knows nothing yet.
        self.a.link(&self.third).await;
        self.b.link(&self.third).await;
        self.a.link(&self.b).await;
        self.b.link(&self.a).await;
        self.b
            .mesh
            .send(&self.a.address(), message(1))
            .await
            .unwrap();
        for node in [&mut self.a, &mut self.b] {
            while timeout(QUIET, node.events.recv()).await.is_ok() {}
        }
    }

    async fn say_again(&mut self, moment: &str) {
        let (before, publisher) = (self.state(), self.third.kubo.client());
        for (inbox, data) in &self.recorded {
            publisher.publish(inbox, data.clone()).await.unwrap();
        }
        let looked_at = |before: &Health, after: &Health| {
            let sum = |health: &Health| {
                health.counters.received + health.counters.refused.values().sum::<u64>()
            };
            sum(after) - sum(before)
        };
        eventually("all was looked at", async || {
            let pairs = before.iter().zip(self.state());
            let seen: u64 = pairs.map(|(before, after)| looked_at(before, &after)).sum();
            seen >= self.recorded.len() as u64
        })
        .await;
        for node in [&mut self.a, &mut self.b] {
            let event = timeout(QUIET, node.events.recv()).await;
            assert!(event.is_err(), "{moment}: {event:?}");
        }
        for (before, after) in before.iter().zip(self.state()) {
            let of = |health: &Health| {
                let counters = &health.counters;
                let sessions = (counters.sessions_begun, counters.sessions_ended);
                (health.sessions, sessions, counters.delivered)
            };
            assert_eq!(of(before), of(&after), "{moment}");
        }
    }

    fn state(&self) -> [Health; 2] {
        [self.a.mesh.health(), self.b.mesh.health()]
    }
}

async fn drain(subscription: &mut Subscription) -> Vec<Bytes> {
    let mut all = Vec::new();
    while let Ok(heard) = timeout(QUIET, subscription.next()).await {
        all.push(heard.unwrap().unwrap().data);
    }
    all
}

#[tokio::test]
async fn what_was_recorded_changes_nothing_in_later_sessions_and_after_restarts() {
    let mut scene = Scene::begin().await;
    scene.settle().await;
    scene.say_again("in the same session").await;
    eventually("the session idles away", async || {
        scene.a.mesh.health().sessions == 0
    })
    .await;
    scene.settle().await;
    scene.say_again("in the next session").await;
    scene.b.restart_sidecar().await;
    scene.settle().await;
    scene.say_again("after a restart of the one").await;
    scene.a.restart_sidecar().await;
    scene.settle().await;
    scene.say_again("after a restart of the other").await;
    let said = Event::Message {
        from: scene.a.address(),
        message: message(77),
    };
    scene
        .a
        .mesh
        .send(&scene.b.address(), message(77))
        .await
        .unwrap();
    assert_eq!(scene.b.event().await, said);
}
