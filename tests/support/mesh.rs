//! Real nodes for tests: Kubo daemons with sidecars on loopback.
//!
//! Takes a number, gives nodes that know and allow one another. A test ends its
//! mesh, which asserts that nothing is left; one that is dropped instead fails
//! its test, and shows the logs where the test failed already. At most two
//! meshes run at once, since each takes the whole machine.

use std::{path::PathBuf, process::Output, sync::LazyLock, time::Duration};

use futures_util::future::join_all;
use timerose::{
    api::Client,
    cli::dev::{Node, Nodes, NodesOptions},
    compute::{
        ByteStream, Code, DeployRequest, Draft, Failure, Finished, InvocationEvent, InvokeRequest,
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_stream::StreamExt;

use super::{chaos::Chaos, namespaces::Network};

static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// The setting that shortens leases, so that silence is noticed within a
/// test's patience. On a busy machine it is noticed where there is none, too.
const SHORT_LEASES: (&str, &str) = ("TIMEROSE_SCHEDULER__LEASE_TTL", "2s");

/// The setting that turns containers on, off unless a test is about them: each
/// start tests the engine.
pub(crate) const DOCKER: &str = "TIMEROSE_DOCKER__ENABLED";

/// The setting that names Kubo's RPC.
const KUBO_API: &str = "TIMEROSE_KUBO__API";

/// Turns containers off where nothing was said of them.
pub(crate) fn without_engine(environment: &mut Vec<(String, String)>) {
    if !environment.iter().any(|(key, _)| key == DOCKER) {
        environment.push((DOCKER.to_owned(), "false".to_owned()));
    }
}

/// Running nodes.
pub(crate) struct Mesh {
    nodes: Option<Nodes>,
    _room: SemaphorePermit<'static>,
}

impl Mesh {
    /// Starts `count` nodes.
    pub(crate) async fn start(count: usize) -> Self {
        Self::with_settings(count, &[]).await
    }

    /// Starts `count` nodes with leases of two seconds.
    pub(crate) async fn with_short_leases(count: usize) -> Self {
        Self::with_settings(count, &[SHORT_LEASES]).await
    }

    /// Starts `count` nodes whose sessions travel one way only.
    pub(crate) async fn with_carrier(count: usize, carrier: &str) -> Self {
        Self::with_settings(count, &[("TIMEROSE_MESH__CARRIER", carrier)]).await
    }

    /// Starts `count` nodes whose sidecars have these settings.
    pub(crate) async fn with_settings(count: usize, settings: &[(&str, &str)]) -> Self {
        let mesh = Self::of(count, |options| {
            options.environment = settings.iter().map(owned).collect();
        })
        .await;
        mesh.is_whole().await;
        mesh
    }

    /// Starts `count` nodes with leases of two seconds in a network.
    pub(crate) async fn within(network: &Network, count: usize) -> Self {
        Self::with_leases_within(network, count, SHORT_LEASES.1).await
    }

    /// The same with leases that last so long.
    pub(crate) async fn with_leases_within(network: &Network, count: usize, ttl: &str) -> Self {
        let (key, value) = (SHORT_LEASES.0, ttl);
        let mesh = Self::of(count, |options| {
            options.environment = vec![(key.to_owned(), value.to_owned())];
            options.places = network.places();
        })
        .await;
        mesh.is_whole().await;
        mesh
    }

    /// Starts `count` nodes as `change` wants them; they may still be strangers.
    pub(crate) async fn of(count: usize, change: impl FnOnce(&mut NodesOptions)) -> Self {
        let room = ROOM.acquire().await.unwrap();
        let mut options = NodesOptions {
            ipfs: ipfs(),
            timerose: PathBuf::from(env!("CARGO_BIN_EXE_timerose")),
            ..NodesOptions::default()
        };
        change(&mut options);
        without_engine(&mut options.environment);
        let nodes = Nodes::start(count, &options).await.unwrap();
        Self {
            nodes: Some(nodes),
            _room: room,
        }
    }

    /// The node of that number, from 0.
    pub(crate) fn node(&self, index: usize) -> &Node {
        &self.nodes.as_ref().unwrap().all()[index]
    }

    /// The same, to stop and start.
    pub(crate) fn node_mut(&mut self, index: usize) -> &mut Node {
        &mut self.nodes.as_mut().unwrap().all_mut()[index]
    }

    /// All nodes.
    pub(crate) fn all(&self) -> &[Node] {
        self.nodes.as_ref().unwrap().all()
    }

    /// Puts a proxy between each sidecar and its Kubo; the sidecars start anew.
    pub(crate) async fn behind_chaos(&mut self, seed: u64) -> Vec<Chaos> {
        let nodes = self.nodes.as_mut().unwrap().all_mut();
        let behind = nodes.iter_mut().zip(seed..).map(async |(node, seed)| {
            let chaos = Chaos::before(node.kubo.api(), seed).await;
            node.sidecar.set_variable(KUBO_API, chaos.api());
            node.sidecar.restart().await.unwrap();
            chaos
        });
        join_all(behind).await
    }

    /// The peer ID of a node.
    pub(crate) fn peer(&self, index: usize) -> String {
        self.node(index).kubo.peer()
    }

    /// The API of a node.
    pub(crate) fn client(&self, index: usize) -> Client {
        Client::new(&self.node(index).sidecar.home().join("api.sock")).unwrap()
    }

    /// Runs the command line of a node.
    pub(crate) async fn timerose(&self, index: usize, arguments: &[&str]) -> Output {
        let mut command = self.node(index).sidecar.command(arguments);
        command.kill_on_drop(true);
        let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
        ended.expect("the command ends").unwrap()
    }

    /// What Kubo's program says beside a node, without the line's end.
    pub(crate) async fn ipfs(&self, index: usize, arguments: &[&str]) -> String {
        let said = self.node(index).kubo.ipfs(arguments).await.unwrap();
        said.trim().to_owned()
    }

    /// Deploys WAT or WASM on a node; gives the function's CID.
    pub(crate) async fn deploy(&self, index: usize, code: &[u8]) -> String {
        let code = Code::Bytes(wat::parse_bytes(code).unwrap().into_owned().into());
        let draft = Draft::default();
        let request = DeployRequest { draft, code };
        self.client(index).deploy(request).await.unwrap().function
    }

    /// Runs a call from a node to its end.
    pub(crate) async fn invoke(
        &self,
        index: usize,
        request: &InvokeRequest,
    ) -> Result<Finished, Failure> {
        invoke(&self.client(index), request).await
    }

    /// The text that an invocation of a node came to.
    pub(crate) async fn saved(&self, index: usize, invocation: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        let command = ["result", invocation, "-o", file.to_str().unwrap()];
        let said = self.timerose(index, &command).await;
        assert!(said.status.success(), "{said:?}");
        std::fs::read_to_string(file).unwrap()
    }

    /// Waits until every node lists every other.
    pub(crate) async fn is_whole(&self) {
        for index in 0..self.all().len() {
            let client = self.client(index);
            until("every node knows every other", async || {
                let nodes = client.nodes().await.unwrap_or_default();
                nodes.len() == self.all().len()
            })
            .await;
        }
    }

    /// Ends it all and asserts that nothing is left.
    pub(crate) async fn end(mut self) {
        for index in 0..self.all().len() {
            if let Ok(open) = self.client(index).records(false).await {
                assert!(open.is_empty(), "open at the end: {open:?}");
            }
        }
        let nodes = self.nodes.take().unwrap();
        let root = nodes.root().to_owned();
        nodes.stop().await.unwrap();
        assert!(!root.exists(), "{} is left", root.display());
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let Some(nodes) = &self.nodes else { return };
        assert!(
            std::thread::panicking(),
            "a test ends its mesh, so that what is left is seen"
        );
        for node in nodes.all() {
            let log = node.sidecar.process().log_tail();
            eprintln!("== {}\n{log}", node.kubo.peer());
        }
    }
}

fn owned((name, value): &(&str, &str)) -> (String, String) {
    ((*name).to_owned(), (*value).to_owned())
}

/// Runs a call over an API to its end.
pub(crate) async fn invoke(client: &Client, request: &InvokeRequest) -> Result<Finished, Failure> {
    invoke_over(client, request, None).await
}

/// The same with input that is streamed.
pub(crate) async fn invoke_over(
    client: &Client,
    request: &InvokeRequest,
    input: Option<ByteStream>,
) -> Result<Finished, Failure> {
    let mut events = client.invoke(request, input).await?;
    while let Some(event) = events.next().await {
        match event? {
            InvocationEvent::Done(finished) => return Ok(*finished),
            InvocationEvent::Failed { error, .. } => return Err(error),
            _ => {}
        }
    }
    panic!("the events ended without an end");
}

/// Waits for a condition with a deadline.
pub(crate) async fn until(what: &str, is_so: impl AsyncFnMut() -> bool) {
    until_within(Duration::from_secs(30), what, is_so).await;
}

/// The same with a deadline of its own.
pub(crate) async fn until_within(
    patience: Duration,
    what: &str,
    mut is_so: impl AsyncFnMut() -> bool,
) {
    let patience = tokio::time::Instant::now() + patience;
    while !is_so().await {
        assert!(
            tokio::time::Instant::now() < patience,
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kubo's program: `$IPFS_BIN`, or what `scripts/install-kubo` finds or gets.
fn ipfs() -> PathBuf {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install-kubo");
        let found = std::process::Command::new(script).output().unwrap();
        assert!(found.status.success(), "{found:?}");
        PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
    });
    std::env::var_os("IPFS_BIN").map_or_else(|| FOUND.clone(), PathBuf::from)
}
