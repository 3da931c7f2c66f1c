//! Pubsub between the fakes: delivered to subscribers here and on connected
//! nodes, 32 messages buffered, then dropped, as in Kubo.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Frame;
use serde_json::json;
use timerose::kubo::{from_multibase, to_multibase};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{faults::Faults, reply, routes::Call, state::State};

const BUFFER: usize = 32;

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

/// The subscriptions of one node.
#[derive(Default)]
pub(super) struct Topics {
    senders: Mutex<HashMap<String, Vec<Sender>>>,
    open: Arc<AtomicUsize>,
}

/// Counts one open stream for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Topics {
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    fn names(&self) -> Vec<String> {
        let mut senders = self.senders.lock().unwrap();
        senders.retain(|_, list| {
            list.retain(|sender| !sender.is_closed());
            !list.is_empty()
        });
        senders.keys().cloned().collect()
    }

    fn subscribe(&self, topic: &str) -> (ReceiverStream<Result<Bytes, io::Error>>, Open) {
        let (sender, receiver) = mpsc::channel(BUFFER);
        self.senders
            .lock()
            .unwrap()
            .entry(topic.to_owned())
            .or_default()
            .push(sender);
        self.open.fetch_add(1, Ordering::SeqCst);
        (ReceiverStream::new(receiver), Open(Arc::clone(&self.open)))
    }

    /// What does not fit is lost.
    fn deliver(&self, topic: &str, line: &Bytes, faults: &Faults) {
        let senders = self.senders.lock().unwrap();
        for sender in senders.get(topic).into_iter().flatten() {
            if faults.long_line {
                let endless = Bytes::from(vec![b'x'; 256 << 10]);
                (0..BUFFER).for_each(|_| drop(sender.try_send(Ok(endless.clone()))));
            } else if faults.cut_subscription {
                let _lost = sender.try_send(Ok(line.slice(..line.len() / 2)));
                let _lost = sender.try_send(Err(io::Error::other("cut")));
            } else {
                let _lost = sender.try_send(Ok(line.clone()));
            }
        }
    }
}

pub(super) fn publish(state: &State, call: &Call) -> Response {
    let topic = match topic(call) {
        Ok(topic) => topic,
        Err(response) => return *response,
    };
    let faults = state.faults();
    let count = state.published.fetch_add(1, Ordering::SeqCst) + 1;
    let every = |k: usize| k > 0 && count.is_multiple_of(k);
    if every(faults.ignore_every) {
        return reply::failure("validation ignored");
    }
    let line = json!({
        "from": state.peer().to_string(),
        "data": to_multibase(&call.parts()[0].data),
        "seqno": to_multibase(&(count as u64).to_be_bytes()),
        "topicIDs": [call.args[0]],
    });
    let line = Bytes::from(format!("{line}\n"));
    let times = if every(faults.duplicate_every) { 2 } else { 1 };
    for _ in 0..times {
        // Own messages are never lost.
        state.topics.deliver(&topic, &line, &faults);
        let neighbours = if every(faults.lose_every) {
            vec![]
        } else {
            state.net.neighbours(state.peer())
        };
        for node in neighbours {
            node.topics.deliver(&topic, &line, &node.faults());
        }
    }
    reply::lines(&[], None)
}

pub(super) fn subscribe(state: &State, call: &Call) -> Response {
    let topic = match topic(call) {
        Ok(topic) => topic,
        Err(response) => return *response,
    };
    let (lines, open) = state.topics.subscribe(&topic);
    let frames = lines.map(move |item| {
        let _counted = &open;
        item.map(Frame::data)
    });
    reply::chunked(frames)
}

pub(super) fn peers(state: &State, call: &Call) -> Response {
    let topic = match topic(call) {
        Ok(topic) => topic,
        Err(response) => return *response,
    };
    let neighbours = state.net.neighbours(state.peer());
    let here = neighbours
        .iter()
        .filter(|node| node.topics.names().contains(&topic));
    let peers: Vec<String> = here.map(|node| node.peer().to_string()).collect();
    reply::object(&json!({ "Strings": peers }))
}

pub(super) fn topics(state: &State) -> Response {
    let names = state.topics.names();
    let names: Vec<String> = names
        .iter()
        .map(|name| to_multibase(name.as_bytes()))
        .collect();
    reply::object(&json!({ "Strings": names }))
}

fn topic(call: &Call) -> Result<String, Box<Response>> {
    let refusal = |_| Box::new(reply::failure("URL arg must be multibase encoded"));
    let bytes = from_multibase("test", &call.args[0]).map_err(refusal)?;
    Ok(String::from_utf8(bytes).unwrap())
}
