//! A Kubo in memory, spoken to over real HTTP.
//!
//! Gives [`FakeKubo`]s that share a [`FakeNet`]: pubsub, provider records and
//! blocks pass between them. Each can be told to misbehave as the real one was
//! seen to ([`Faults`]). Answers only what the client calls, and refuses query
//! keys that are not in the client's own table.

mod car;
mod content;
mod faults;
mod multipart;
mod net;
mod pins;
mod pubsub;
mod reply;
mod routes;
mod state;
mod unixfs;

use std::{path::Path, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use libp2p_identity::PeerId;
use tempfile::TempDir;
use timerose::{
    kubo::{Client, Config, Endpoint},
    task::Tasks,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

pub(crate) use self::{
    faults::{Cut, Faults, Held},
    net::FakeNet,
};
use self::{net::Node, state::State};

/// One fake daemon with its repository. Dropping it kills it.
pub(crate) struct FakeKubo {
    state: Arc<State>,
    net: FakeNet,
    dir: TempDir,
    serving: Tasks,
}

impl FakeKubo {
    /// Starts a daemon alone in the world.
    pub(crate) async fn alone() -> Self {
        Self::start(&FakeNet::new()).await
    }

    /// Starts a daemon; its api file is there when this returns.
    pub(crate) async fn start(net: &FakeNet) -> Self {
        let fake = Self {
            state: State::new(net.clone()),
            net: net.clone(),
            dir: tempfile::tempdir().unwrap(),
            serving: Tasks::new(),
        };
        fake.serve().await;
        fake
    }

    async fn serve(&self) {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let _stale = std::fs::remove_file(self.socket());
        let unix = UnixListener::bind(self.socket()).unwrap();
        let (state, serving) = (Arc::clone(&self.state), self.serving.clone());
        self.serving.spawn("fake.tcp", async move {
            while let Ok((stream, _)) = tcp.accept().await {
                serving.spawn("fake.connection", answer(stream, Arc::clone(&state)));
            }
        });
        let (state, serving) = (Arc::clone(&self.state), self.serving.clone());
        self.serving.spawn("fake.unix", async move {
            while let Ok((stream, _)) = unix.accept().await {
                serving.spawn("fake.connection", answer(stream, Arc::clone(&state)));
            }
        });
        self.state.set_port(port);
        self.net.enter(Node::clone(&self.state));
        // Atomically, as Kubo does.
        let fresh = self.dir.path().join("api.tmp");
        std::fs::write(&fresh, format!("/ip4/127.0.0.1/tcp/{port}")).unwrap();
        std::fs::rename(fresh, self.repo().join("api")).unwrap();
    }

    /// The repository: holds `api` while the daemon runs.
    pub(crate) fn repo(&self) -> &Path {
        self.dir.path()
    }

    /// The unix socket on which it listens too.
    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("rpc.sock")
    }

    /// The endpoint found through the api file.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::discover(None, Some(self.repo()), None).unwrap()
    }

    /// A client that finds it through the api file.
    pub(crate) fn client(&self) -> Client {
        self.client_with(|_| {})
    }

    /// A client with a changed configuration.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut Config)) -> Client {
        let mut config = Config::new(self.endpoint());
        config.timeout = Duration::from_secs(5);
        change(&mut config);
        Client::new(config).unwrap()
    }

    /// Its peer ID.
    pub(crate) fn peer(&self) -> PeerId {
        self.state.peer()
    }

    /// Its address for `swarm/connect`.
    pub(crate) fn swarm_address(&self) -> String {
        self.state.swarm_address()
    }

    /// Makes it misbehave, or behave again.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.state.change_faults(change);
    }

    /// How often `command` was called.
    pub(crate) fn calls(&self, command: &str) -> usize {
        self.state.calls(command)
    }

    /// How many `pubsub/sub` streams are open.
    pub(crate) fn open_subscriptions(&self) -> usize {
        self.state.open_subscriptions()
    }

    /// How many blocks it holds.
    pub(crate) fn blocks(&self) -> usize {
        self.state.block_count()
    }

    /// Forgets a block, as garbage collection does.
    pub(crate) fn forget(&self, cid: &cid::Cid) {
        self.state.forget(cid);
    }

    /// Announces `cid` in this node's name without holding it.
    pub(crate) fn pretend_to_provide(&self, cid: &cid::Cid) {
        self.net.provide(*cid, self.peer());
    }

    /// The api file vanishes, as at the beginning of a shutdown; it still
    /// answers.
    pub(crate) fn begin_shutdown(&self) {
        std::fs::remove_file(self.repo().join("api")).unwrap();
    }

    /// Dies as of SIGKILL: connections break, the api file stays.
    pub(crate) async fn kill(&mut self) {
        self.net.leave(self.peer());
        assert!(self.serving.shutdown(Duration::from_secs(5)).await);
    }

    /// Comes back on another port with the same blocks and pins.
    pub(crate) async fn restart(&mut self) {
        self.serving = Tasks::new();
        self.serve().await;
    }
}

impl Drop for FakeKubo {
    fn drop(&mut self) {
        self.net.leave(self.peer());
        self.serving.cancel();
    }
}

/// Serves one connection to its end.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, state: Arc<State>) {
    let service = service_fn(move |request| routes::handle(Arc::clone(&state), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Clients hang up whenever they like, and some faults break it from here.
    let _broken = connection.await;
}
