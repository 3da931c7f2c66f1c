//! From an HTTP request to an answer: faults first, then the command.

use std::{io, sync::Arc, time::Duration};

use axum::{body::Body, http::Request, response::Response};
use bytes::Bytes;
use cid::Cid;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use timerose::kubo::{SIGN_PREFIX, option_keys, parse_go_duration, to_multibase};

use super::{
    content,
    multipart::{self, Part},
    pins, pubsub, reply,
    state::State,
};

/// A parsed request.
pub(super) struct Call {
    command: String,
    pub(super) args: Vec<String>,
    query: Vec<(String, String)>,
    content_type: String,
    body: Bytes,
}

impl Call {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// The first argument.
    pub(super) fn cid(&self) -> Cid {
        self.args[0].trim_start_matches("/ipfs/").parse().unwrap()
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        multipart::parse(&self.content_type, &self.body)
    }

    /// Kubo would ignore it; here a misspelt key is an error.
    fn unknown_key(&self) -> Option<String> {
        let table = option_keys().find(|(command, _)| *command == self.command);
        let keys = table.map(|(_, keys)| keys).unwrap_or_default();
        let unknown = self
            .query
            .iter()
            .find(|(key, _)| !keys.contains(&key.as_str()));
        unknown.map(|(key, _)| format!("unknown option {key}"))
    }
}

/// Answers one request; an error breaks the connection.
pub(super) async fn handle(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response, io::Error> {
    if request.method() != "POST" {
        return Ok(reply::plain(405, "method not allowed"));
    }
    let call = match parse(request, &state).await? {
        Ok(call) => call,
        Err(response) => return Ok(*response),
    };
    if state.faults().break_before_answer > 0 {
        state.change_faults(|faults| faults.break_before_answer -= 1);
        return Err(io::Error::other("the connection breaks"));
    }
    match misbehave(&state, &call).await {
        Some(response) => Ok(response),
        None => Ok(answer(&state, &call).await),
    }
}

async fn answer(state: &Arc<State>, call: &Call) -> Response {
    let limit = match call.get("timeout").map(parse_go_duration) {
        None => Duration::from_secs(3600),
        Some(Ok(limit)) => limit,
        // What Kubo does with a bare number.
        Some(Err(_)) => return Response::new(Body::empty()),
    };
    let outcome = tokio::time::timeout(limit, dispatch(state, call)).await;
    match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(message)) => reply::failure(message),
        Err(_over) => reply::failure("context deadline exceeded"),
    }
}

async fn parse(
    request: Request<Incoming>,
    state: &State,
) -> Result<Result<Call, Box<Response>>, io::Error> {
    let (head, body) = request.into_parts();
    let Some(command) = head.uri.path().strip_prefix("/api/v0/") else {
        return Ok(Err(Box::new(reply::plain(404, "404 page not found"))));
    };
    state.count_call(command);
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let wanted = state.faults().authorization;
    if wanted.is_some() && wanted.as_deref() != header("authorization") {
        return Ok(Err(Box::new(reply::plain(403, "403 - Forbidden"))));
    }
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(head.uri.query().unwrap_or_default()).unwrap();
    let (args, query): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key == "arg");
    let content_type = header("content-type").unwrap_or_default().to_owned();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Ok(Call {
        command: command.to_owned(),
        args: args.into_iter().map(|(_, value)| value).collect(),
        query,
        content_type,
        body,
    }))
}

async fn misbehave(state: &State, call: &Call) -> Option<Response> {
    let faults = state.faults();
    let command = call.command.as_str();
    if faults.hang.contains(&command) {
        std::future::pending::<()>().await;
    }
    if faults.empty.contains(&command) {
        return Some(Response::new(Body::empty()));
    }
    if faults.fail_in_band.contains(&command) {
        let failure = json!({"Message": "in the stream", "Code": 0, "Type": "error"});
        return Some(reply::lines(&[failure], None));
    }
    if faults.no_pubsub && command.starts_with("pubsub/") {
        let message = "experimental pubsub feature not enabled, run daemon with a flag";
        return Some(reply::failure(message));
    }
    call.unknown_key().map(reply::failure)
}

async fn dispatch(state: &Arc<State>, call: &Call) -> Result<Response, String> {
    Ok(match call.command.as_str() {
        "id" => id(state),
        "version" => {
            let version = state
                .faults()
                .version
                .unwrap_or_else(|| "0.43.0".to_owned());
            reply::object(&json!({"Version": version, "Commit": ""}))
        }
        "config/show" => reply::object(&json!({"Pubsub": {"Enabled": true}})),
        "repo/stat" => reply::object(&json!({"RepoSize": 1, "StorageMax": 10_000_000_000_u64})),
        "diag/healthy" => reply::object(&json!("ok")),
        "key/sign" => sign(state, call),
        "pubsub/pub" => pubsub::publish(state, call),
        "pubsub/sub" => pubsub::subscribe(state, call),
        "pubsub/peers" => pubsub::peers(state, call),
        "pubsub/ls" => pubsub::topics(state),
        "swarm/connect" => connect(state, call).await?,
        "swarm/peering/add" => {
            let _unreachable = connect(state, call).now_or_never();
            reply::lines(&[json!({"ID": "x", "Status": "success"})], None)
        }
        "swarm/peers" => swarm_peers(state),
        "routing/findprovs" => find_providers(state, call).await,
        "routing/provide" => provide(state, call)?,
        "cat" => content::cat(state, call).await?,
        "get" => content::get(state, call).await?,
        "ls" => content::ls(state, call).await?,
        "resolve" => {
            let cid = content::resolve(state, &call.args[0], call.is("offline")).await?;
            reply::object(&json!({"Path": format!("/ipfs/{cid}")}))
        }
        "add" => content::add(state, call),
        "block/get" => content::block_get(state, call).await?,
        "block/put" => content::block_put(state, call),
        "block/stat" => content::block_stat(state, call).await?,
        "dag/stat" => content::dag_stat(state, call).await?,
        "dag/import" => content::dag_import(state, call).await?,
        "dag/export" => content::dag_export(state, call).await?,
        "pin/add" => pins::add(state, call).await,
        "pin/rm" => pins::remove(state, call),
        "pin/ls" => pins::list(state, call),
        _ => reply::plain(404, "404 page not found"),
    })
}

fn id(state: &State) -> Response {
    reply::object(&json!({
        "ID": state.peer().to_string(),
        "Addresses": [state.swarm_address()],
        "AgentVersion": "kubo/0.43.0",
    }))
}

fn sign(state: &State, call: &Call) -> Response {
    let signed = [SIGN_PREFIX, call.parts()[0].data.as_ref()].concat();
    let signature = state.keys.sign(&signed).unwrap();
    reply::lines(
        &[json!({"Key": {"Name": "self"}, "Signature": to_multibase(&signature)})],
        None,
    )
}

async fn connect(state: &State, call: &Call) -> Result<Response, String> {
    let peer = call.args[0].rsplit("/p2p/").next().unwrap();
    let other = peer.parse().ok().and_then(|peer| state.net.node(peer));
    let Some(other) = other else {
        tokio::time::sleep(state.faults().dial_delay).await;
        return Err(format!(
            "connect {peer} failure: failed to dial: all dials failed"
        ));
    };
    state.net.connect(state.peer(), other.peer());
    Ok(reply::object(
        &json!({"Strings": [format!("connect {peer} success")]}),
    ))
}

fn swarm_peers(state: &State) -> Response {
    let neighbours = state.net.neighbours(state.peer());
    let peer = |node: &Arc<State>| json!({"Addr": node.bare_address(), "Peer": node.peer().to_string(), "Latency": "1.5ms"});
    reply::object(&json!({"Peers": neighbours.iter().map(peer).collect::<Vec<_>>()}))
}

async fn find_providers(state: &State, call: &Call) -> Response {
    let faults = state.faults();
    tokio::time::sleep(faults.find_delay).await;
    let max: usize = call.get("num-providers").unwrap().parse().unwrap();
    let mut found = faults.dead_providers;
    found.extend(state.net.providers(&call.cid()));
    let mut lines = vec![json!({"ID": state.peer().to_string(), "Responses": null, "Type": 0})];
    lines.extend(found.iter().take(max).map(|peer| {
        let address = state.net.node(*peer).map(|node| vec![node.bare_address()]);
        let response = json!({"ID": peer.to_string(), "Addrs": address});
        json!({"ID": "", "Responses": [response], "Type": 4})
    }));
    reply::lines(&lines, None)
}

fn provide(state: &State, call: &Call) -> Result<Response, String> {
    let cid = call.cid();
    state
        .local(&cid)
        .ok_or_else(|| format!("block {cid} not found locally, cannot provide"))?;
    state.net.provide(cid, state.peer());
    Ok(reply::lines(&[], None))
}
