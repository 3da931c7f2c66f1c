//! A proxy between a sidecar and its Kubo that understands pubsub and spoils it.
//!
//! Takes the address of Kubo's RPC and a seed, gives an address for the sidecar.
//! [`Faults`] are switched on and off while it runs, a [`Blow`] meets the
//! subscriptions that are open. Everything else passes through unchanged, as a
//! stream, trailers included. Counts what it did, so that a test can show that
//! its fault took place.

mod faults;
mod forged;
mod publish;
mod subscription;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::Request;
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use libp2p_identity::PeerId;
use timerose::{kubo::from_multibase, task::Tasks};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

pub(crate) use self::faults::{Blow, Chance, Faults};
use self::forged::Forged;

/// Kubo's end of a subscription may hold so much in the kernel, so that a
/// reader who stops is felt soon.
const RECEIVE_BUFFER: u32 = 16 << 10;

/// What the proxy saw and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Subscriptions opened, by topic.
    pub subscribed: BTreeMap<String, u64>,
    /// Messages that Kubo delivered.
    pub messages: u64,
    /// Messages dropped, of Kubo's and of the sidecar's.
    pub dropped: u64,
    /// Copies made.
    pub copied: u64,
    /// Messages that overtook an older one.
    pub overtook: u64,
    /// Lines that were spoilt.
    pub garbled: u64,
    /// Publishes asked for.
    pub published: u64,
    /// Calls that were refused or failed here.
    pub refused: u64,
}

/// A running proxy. Dropping it ends it.
pub(crate) struct Chaos {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What its connections share.
struct Shared {
    kubo: SocketAddr,
    faults: Mutex<Faults>,
    chance: Mutex<Chance>,
    counts: Mutex<Counts>,
    blows: watch::Sender<Blow>,
    forged: Forged,
    serving: Tasks,
}

impl Chaos {
    /// Stands before the Kubo whose RPC has the multiaddr `kubo`.
    pub(crate) async fn before(kubo: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            kubo: socket_address(kubo),
            faults: Mutex::default(),
            chance: Mutex::new(Chance::new(seed)),
            counts: Mutex::default(),
            blows: watch::Sender::new(Blow::Resume),
            forged: Forged::default(),
            serving: Tasks::new(),
        });
        let serving = shared.serving.clone();
        let accepting = Arc::clone(&shared);
        serving.spawn("chaos.accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = serve(Arc::clone(&accepting), stream);
                accepting.serving.spawn("chaos.connection", connection);
            }
        });
        Self { shared, address }
    }

    /// The multiaddr to give to the sidecar.
    pub(crate) fn api(&self) -> String {
        format!("/ip4/{}/tcp/{}", self.address.ip(), self.address.port())
    }

    /// Misbehaves from now on as `change` says.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults.lock().unwrap());
    }

    /// Behaves again; open subscriptions stay as they are.
    pub(crate) fn calm(&self) {
        self.set(|faults| *faults = Faults::default());
    }

    /// Meets every subscription that is open now, and no later one.
    pub(crate) fn strike(&self, blow: Blow) {
        self.shared.blows.send_replace(blow);
    }

    /// Puts a message into the open subscription to `topic`, as if `from`'s Kubo
    /// had published it and the sidecar's own had let it through.
    pub(crate) async fn forge(&self, topic: &str, from: PeerId, data: &Bytes) {
        self.shared.forged.say(topic, from, data).await;
    }

    /// What it saw and did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.counts.lock().unwrap().clone()
    }

    /// How often topics whose name contains `part` were subscribed to.
    pub(crate) fn subscribed(&self, part: &str) -> u64 {
        let counts = self.counts();
        let topics = counts.subscribed.iter();
        topics
            .filter(|(topic, _)| topic.contains(part))
            .map(|(_, count)| count)
            .sum()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.shared.serving.cancel();
    }
}

impl Shared {
    fn faults(&self) -> Faults {
        self.faults.lock().unwrap().clone()
    }

    fn hits(&self, share: f64) -> bool {
        self.chance.lock().unwrap().hits(share)
    }

    fn below(&self, bound: usize) -> usize {
        self.chance.lock().unwrap().below(bound)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap());
    }

    /// Kubo's own answer to a request.
    async fn pass(&self, request: Request<Incoming>) -> io::Result<http::Response<Incoming>> {
        let socket = TcpSocket::new_v4()?;
        if command(&request) == "pubsub/sub" {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        let stream = socket.connect(self.kubo).await?;
        stream.set_nodelay(true)?;
        let handshake = client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
        self.serving.spawn("chaos.kubo", async move {
            let _broken_by_either_end = connection.await;
        });
        sender.send_request(request).await.map_err(io::Error::other)
    }
}

/// Serves one connection of the sidecar to its end.
async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let _slower = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let connection = server::conn::http1::Builder::new();
    let _hung_up = connection
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response> {
    let command = command(&request).to_owned();
    if shared.faults().forbidden.contains(&command.as_str()) {
        shared.count(|counts| counts.refused += 1);
        return Ok(publish::plain(403, "403 - Forbidden"));
    }
    match command.as_str() {
        "pubsub/pub" => publish::answer(&shared, request).await,
        "pubsub/sub" => subscription::answer(&shared, request).await,
        _ => Ok(shared.pass(request).await?.map(Body::new)),
    }
}

/// What is asked for: `pubsub/pub`.
fn command(request: &Request<Incoming>) -> &str {
    let path = request.uri().path();
    path.strip_prefix("/api/v0/").unwrap_or(path)
}

/// The topic of a pubsub call.
fn topic(request: &Request<Incoming>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("arg="));
    let bytes = from_multibase("pubsub", values.next().unwrap_or_default()).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// `/ip4/127.0.0.1/tcp/5001`.
fn socket_address(multiaddr: &str) -> SocketAddr {
    let parts: Vec<&str> = multiaddr.trim().split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().unwrap()
}
