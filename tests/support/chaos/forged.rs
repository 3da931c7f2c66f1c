//! Messages that no Kubo delivered, put into subscriptions that are open.

use std::{collections::HashMap, sync::Mutex};

use bytes::Bytes;
use libp2p_identity::PeerId;
use serde_json::json;
use timerose::kubo::to_multibase;
use tokio::sync::mpsc;

/// Lines that may wait for a subscription.
const WAITING: usize = 32;

/// The ways into the newest subscription to each topic.
#[derive(Default)]
pub(super) struct Forged {
    ways: Mutex<HashMap<String, mpsc::Sender<Bytes>>>,
}

impl Forged {
    /// A subscription opened: what is forged for its topic comes here.
    pub(super) fn open(&self, topic: &str) -> mpsc::Receiver<Bytes> {
        let (way, lines) = mpsc::channel(WAITING);
        self.ways.lock().unwrap().insert(topic.to_owned(), way);
        lines
    }

    /// Says it; waits for room, and panics where nobody is subscribed.
    pub(super) async fn say(&self, topic: &str, from: PeerId, data: &Bytes) {
        let way = self.ways.lock().unwrap().get(topic).cloned();
        let line = json!({
            "from": from.to_string(),
            "data": to_multibase(data),
            "seqno": to_multibase(&[0; 8]),
            "topicIDs": [to_multibase(topic.as_bytes())],
        });
        let line = Bytes::from(format!("{line}\n"));
        let way = way.expect("somebody subscribed to it");
        way.send(line).await.expect("the subscription is open");
    }
}
