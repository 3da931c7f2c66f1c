//! What somebody heard who only listened, and how it comes again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use timerose::{
    kubo::{Client, Error, Subscription},
    model::PeerId,
    task::Tasks,
    wire::{
        Address,
        envelope::{self, Kind},
        topics,
    },
};
use tokio::time::{Instant, sleep, sleep_until};

use super::snapshot::envelopes;
use crate::support::{
    chaos::Chaos,
    mesh::{Mesh, until},
};

const MESH: &str = "public";
/// Envelopes that a node looks at in a second, of one sender: a little less
/// than its share.
const PER_S: u64 = 950;
/// Envelopes put before a node that it has not looked at, at most: its queue
/// holds 1,024.
const UNSEEN: u64 = 500;
/// Ears have the place of the third node.
const EAR: usize = 2;

/// One envelope.
#[derive(Clone)]
struct Heard {
    /// The node in whose inbox it was; none of an advert.
    to: Option<usize>,
    from: PeerId,
    kind: Kind,
    data: Bytes,
}

/// Everything that was heard so far.
pub(super) struct Recording {
    heard: Arc<Mutex<Vec<Heard>>>,
    topics: [String; 3],
    listening: Tasks,
}

impl Recording {
    /// Listens from now on.
    pub(super) async fn begin(mesh: &Mesh) -> Self {
        let inbox = |index: usize| {
            let owner = Address::node(mesh.peer(index).parse().unwrap());
            topics::inbox(MESH, &owner)
        };
        let recording = Self {
            heard: Arc::default(),
            topics: [inbox(0), inbox(1), topics::adverts(MESH)],
            listening: Tasks::new(),
        };
        let ear = mesh.node(EAR).kubo.client();
        for (index, topic) in recording.topics.iter().enumerate() {
            let subscription = ear.subscribe(topic).await.unwrap();
            let to = (index < 2).then_some(index);
            let heard = Arc::clone(&recording.heard);
            let listening = listen(subscription, to, heard);
            recording.listening.spawn("replay.listen", listening);
        }
        recording
    }

    /// Listens no more.
    pub(super) async fn end(&self) {
        assert!(self.listening.shutdown(Duration::from_secs(5)).await);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Asserts that nothing that nodes say is missing.
    pub(super) fn holds_every_kind(&self) {
        let mut kinds = BTreeMap::new();
        for heard in self.heard.lock().unwrap().iter() {
            *kinds.entry(format!("{:?}", heard.kind)).or_insert(0_u64) += 1;
        }
        println!("recorded: {kinds:?}");
        for kind in ["Hello", "Frame", "Bye", "Advert", "Probe"] {
            assert!(kinds.contains_key(kind), "{kind} in {kinds:?}");
        }
    }

    /// Puts everything into the subscriptions of the nodes that it was for,
    /// under the names of its senders; gives how many were put.
    pub(super) async fn forge(&self, mesh: &Mesh, chaos: &[Chaos]) -> u64 {
        let forge = |index: usize| self.forge_for(index, mesh, &chaos[index]);
        let (a, b) = tokio::join!(forge(0), forge(1));
        a + b
    }

    async fn forge_for(&self, index: usize, mesh: &Mesh, chaos: &Chaos) -> u64 {
        let before = looked_at(mesh, index).await;
        let heard = self.heard.lock().unwrap().clone();
        let heard = heard
            .iter()
            .filter(|one| one.to.is_none_or(|to| to == index));
        let (began, mut said) = (Instant::now(), 0);
        for one in heard {
            let topic = &self.topics[one.to.unwrap_or(2)];
            chaos.forge(topic, one.from, &one.data).await;
            said += 1;
            sleep_until(began + Duration::from_micros(said * 1_000_000 / PER_S)).await;
            if said % UNSEEN == 0 {
                seen(mesh, index, before + said).await;
            }
        }
        seen(mesh, index, before + said).await;
        said
    }

    /// Has the third node's Kubo publish what was no frame, and one of `share`
    /// frames, where they were heard; gives how many envelopes are to arrive.
    pub(super) async fn publish(&self, mesh: &Mesh, share: usize) -> u64 {
        let heard = self.heard.lock().unwrap().clone();
        let kubo = mesh.node(EAR).kubo.client();
        let mut said = 0;
        for (index, one) in heard.iter().enumerate() {
            if one.kind == Kind::Frame && index % share > 0 {
                continue;
            }
            publish(kubo, &self.topics[one.to.unwrap_or(2)], &one.data).await;
            // An advert reaches both.
            said += if one.to.is_some() { 1 } else { 2 };
        }
        // What is on its way arrives.
        sleep(Duration::from_millis(500)).await;
        said
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.listening.cancel();
    }
}

async fn listen(mut subscription: Subscription, to: Option<usize>, heard: Arc<Mutex<Vec<Heard>>>) {
    while let Ok(Some(message)) = subscription.next().await {
        let envelope = envelope::parse(&message.data).unwrap();
        let one = Heard {
            to,
            from: envelope.header.from.peer,
            kind: envelope.header.kind,
            data: message.data,
        };
        heard.lock().unwrap().push(one);
    }
}

/// Envelopes that a node has looked at, or had to drop.
async fn looked_at(mesh: &Mesh, index: usize) -> u64 {
    envelopes(mesh, index).await.values().sum()
}

async fn seen(mesh: &Mesh, index: usize, count: u64) {
    until("the node has looked at it", async || {
        looked_at(mesh, index).await >= count
    })
    .await;
}

/// Publishes beside the sidecar of that Kubo, which may be quicker.
async fn publish(kubo: &Client, topic: &str, data: &Bytes) {
    loop {
        match kubo.publish(topic, data.clone()).await {
            Ok(()) => return,
            Err(Error::ValidationIgnored) => sleep(Duration::from_millis(2)).await,
            Err(error) => panic!("{error}"),
        }
    }
}
