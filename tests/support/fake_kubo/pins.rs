//! `pin/*` of the fake.

use std::{sync::Arc, time::Duration};

use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use serde_json::{Value, json};

use super::{content, faults::Held, reply, routes::Call, state::State};

pub(super) async fn add(state: &Arc<State>, call: &Call) -> Response {
    if state.faults().held == Held::Pin {
        return stuck();
    }
    let cid = call.cid();
    if let Err(message) = content::walk(state, &cid, call.is("offline")).await {
        return reply::failure(message);
    }
    state.pin(cid, call.get("name").unwrap_or_default().to_owned());
    let progress = json!({"Progress": 1, "Bytes": 1});
    reply::lines(&[progress, json!({"Pins": [cid.to_string()]})], None)
}

/// The same progress again and again, for ever.
fn stuck() -> Response {
    reply::chunked(stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((
            Ok(Frame::data(Bytes::from_static(b"{\"Progress\":3}\n"))),
            (),
        ))
    }))
}

pub(super) fn remove(state: &State, call: &Call) -> Response {
    let cid = call.cid();
    if state.unpin(&cid) {
        reply::object(&json!({"Pins": [cid.to_string()]}))
    } else {
        reply::failure("not pinned or pinned indirectly")
    }
}

pub(super) fn list(state: &State, call: &Call) -> Response {
    let pins = state.pins();
    if let Some(text) = call.args.first() {
        let Some(name) = pins.get(&call.cid()) else {
            return reply::failure(format!("path '{text}' is not pinned"));
        };
        return reply::object(&json!({"Keys": {text: {"Type": "recursive", "Name": name}}}));
    }
    let wanted = call.get("name").unwrap_or_default();
    let found = pins.iter().filter(|(_, name)| name.contains(wanted));
    let item = |(cid, name): (&cid::Cid, &String)| json!({"Cid": cid.to_string(), "Name": name, "Type": "recursive"});
    reply::lines(&found.map(item).collect::<Vec<Value>>(), None)
}
