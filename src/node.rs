//! The only file that wires roles: bind, join, shut down.
//!
//! Takes settings and a home, gives a node whose API answers. Decides nothing
//! but the order in which things start and end.

mod backend;
mod error;

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::backend::Doors;
use crate::{
    api::Server,
    compute::{
        Compute, ComputeParts, Failure,
        allow::{Allow, Rule},
        executor, scheduler,
        storage::Quota,
    },
    config::{self, Config, Home},
    kubo,
    mesh::{self, Identity, Mesh},
    model::Cid,
    sandbox::{Docker, Lambda, Sandboxes, Wasm, docker, lambda, scratch, wasm},
    store::{Ledger, Store},
    task::Tasks,
};

/// Tries of one invocation.
const MAX_ATTEMPTS: u32 = 5;
/// Attempts that may wait for each slot.
const QUEUED_PER_SLOT: u32 = 64;
/// A sandbox process that ran nothing for this long ends.
const SANDBOX_IDLE: Duration = Duration::from_secs(60);
/// How long a start waits for the mesh.
const MESH_WAIT: Duration = Duration::from_secs(5);
/// Executors remembered from earlier starts.
const REMEMBERED: u32 = 64;
/// How often expired results are let go.
const GC_INTERVAL: Duration = Duration::from_secs(3_600);

/// For how long a node is there.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Until it is told to end; listens on the home's socket.
    Daemon,
    /// For one command; listens on a socket of its own.
    Attached {
        /// Where.
        socket: PathBuf,
    },
}

/// A node that is up.
#[derive(Debug)]
pub struct Node {
    socket: PathBuf,
    addresses: Vec<String>,
    tasks: Tasks,
    mesh: Mesh,
    ended: CancellationToken,
}

impl Node {
    /// Brings a node up; once this returns its API answers.
    ///
    /// # Errors
    /// When Kubo cannot be reached or is too old, the home belongs to another
    /// node, or something cannot be bound.
    pub async fn bind(config: Config, home: Home, mode: Mode) -> Result<Self, Failure> {
        let tasks = Tasks::new();
        let bound = Self::bring_up(config, home, mode, &tasks).await;
        if bound.is_err() {
            tasks.shutdown(Duration::from_secs(1)).await;
        }
        bound
    }

    async fn bring_up(
        config: Config,
        home: Home,
        mode: Mode,
        tasks: &Tasks,
    ) -> Result<Self, Failure> {
        let base = Base::open(&config, &home, &mode).await?;
        let (mesh, events) = Mesh::bind(
            mesh_config(&config, matches!(mode, Mode::Attached { .. })),
            base.kubo.clone(),
            base.identity.clone(),
            tasks,
        );
        base.store.write_behind(tasks);
        restore(&mesh, &base.store)?;
        let compute = Compute::start(base.parts(&config, &home, &mode, &mesh, tasks)?, tasks);
        tasks.spawn("events", pump(events, compute.clone()));
        let period = config.mesh.advert_interval.0;
        tasks.spawn("advert", advertise(mesh.clone(), compute.clone(), period));
        tasks.spawn("gc", collect(compute.clone()));
        let Base { server, .. } = base;
        let node = Self {
            socket: server.path().to_owned(),
            addresses: server.addresses(),
            tasks: tasks.clone(),
            mesh: mesh.clone(),
            ended: CancellationToken::new(),
        };
        let doors = Doors {
            compute,
            mesh,
            identity: base.identity,
            store: base.store,
            config,
            version: base.version,
            addresses: node.addresses(),
            ended: node.ended.clone(),
        };
        server.serve(Arc::new(doors), tasks);
        if !node.mesh.ready(MESH_WAIT).await {
            warn!("the mesh is not ready yet; the node goes on trying");
        }
        Ok(node)
    }

    /// Where its API listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything it listens on.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }

    /// Ends when the node is asked to.
    pub async fn join(&self) {
        self.ended.cancelled().await;
    }

    /// Ends it; gives whether all of it ended within `grace`. Kubo's
    /// subscriptions are dropped first, so that Kubo can end at once too.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.mesh.shutdown().await;
        self.tasks.shutdown(grace).await
    }
}

/// What must be there before anything starts.
struct Base {
    kubo: kubo::Client,
    version: kubo::Version,
    store: Store,
    server: Server,
    identity: Identity,
    program: PathBuf,
}

impl Base {
    /// Looks at Kubo (its version, whether it has pubsub), opens the store, binds the sockets, gets the node key's
    /// word for the sidecar key.
    async fn open(config: &Config, home: &Home, mode: &Mode) -> Result<Self, Failure> {
        let kubo = config.kubo.client().map_err(|e| error::kubo(&e))?;
        let version = kubo.require_floor(config.kubo.allow_old).await;
        let version = version.map_err(|e| error::kubo(&e))?;
        kubo.topics().await.map_err(|e| error::kubo(&e))?;
        let peer = kubo.id().await.map_err(|e| error::kubo(&e))?.peer;
        let store = Store::open(&home.state(), &peer.to_string()).map_err(|e| error::store(&e))?;
        let server = Self::listen(config, home, mode).await?;
        let identity = Identity::open(&home.key(), &kubo).await;
        let identity = identity.map_err(|e| error::identity(&e))?;
        info!(peer.id = %peer, kubo.version = %version, "beside this Kubo");
        let program = config::program().map_err(|e| error::io("this program's own path", &e))?;
        Ok(Self {
            kubo,
            version,
            store,
            server,
            identity,
            program,
        })
    }

    /// Promises are a daemon's: an attached command outlives nothing.
    fn ledger(&self, mode: &Mode, tasks: &Tasks) -> Result<Option<Ledger>, Failure> {
        match mode {
            Mode::Attached { .. } => Ok(None),
            Mode::Daemon => {
                let ledger = self.store.ledger(tasks).map_err(|e| error::store(&e))?;
                Ok(Some(ledger))
            }
        }
    }

    fn parts(
        &self,
        config: &Config,
        home: &Home,
        mode: &Mode,
        mesh: &Mesh,
        tasks: &Tasks,
    ) -> Result<ComputeParts, Failure> {
        let folders = Folders::make(config, home, &self.identity.peer().to_string())?;
        let slots = slots(config.executor.slots);
        let sandbox = wasm::Config {
            program: self.program.clone(),
            cache_dir: folders.compiled.clone(),
            work_dir: folders.work.clone(),
            code_dir: folders.code.clone(),
            max_processes: slots as usize,
            compile_timeout: config.executor.compile_timeout.0,
            idle_timeout: SANDBOX_IDLE,
        };
        let wasm = Wasm::new(sandbox, tasks).map_err(|e| error::sandbox(&e))?;
        let docker = Docker::start(self.containers(config, &folders), tasks);
        Ok(ComputeParts {
            executor: executor_config(config, &folders, slots)?,
            scheduler: scheduler_config(config),
            quota: Quota {
                keep: config.storage.keep.0,
                max_bytes: config.storage.max.0,
            },
            kubo: self.kubo.clone(),
            mesh: mesh.clone(),
            identity: self.identity.clone(),
            sandboxes: Sandboxes::new(
                Arc::new(wasm),
                docker.clone(),
                functions(config, &folders, docker, tasks),
            ),
            max_image_bytes: config.docker.max_image.0,
            store: self.store.clone(),
            ledger: self.ledger(mode, tasks)?,
            allow: Allow::new(self.identity.peer(), rules(config, &self.store)?),
        })
    }

    /// What a container must not reach is this node's own doors above all.
    fn containers(&self, config: &Config, folders: &Folders) -> docker::Config {
        let kubo = match self.kubo.endpoint().address() {
            Some(kubo::Address::Tcp(address)) => Some(address.replace("localhost", "127.0.0.1")),
            _ => None,
        };
        let doors = kubo.into_iter().chain(config.api.listen.clone());
        let is_address = |door: &String| door.parse::<std::net::SocketAddr>().is_ok();
        docker::Config {
            sockets: config.docker.sockets(),
            home: format!("{} {}", self.identity.peer(), folders.work.display()),
            work_dir: folders.work.clone(),
            processors: config.docker.processors,
            forbidden: doors.filter(is_address).collect(),
        }
    }

    async fn listen(config: &Config, home: &Home, mode: &Mode) -> Result<Server, Failure> {
        match mode {
            Mode::Attached { socket } => Server::bind(socket).await.map_err(|e| error::server(&e)),
            Mode::Daemon => {
                let server = Server::bind(&home.socket())
                    .await
                    .map_err(|e| error::server(&e))?;
                let Some(address) = &config.api.listen else {
                    return Ok(server);
                };
                let token = home.bearer().map_err(|e| error::io("the token", &e))?;
                server
                    .listen(address, &token)
                    .await
                    .map_err(|e| error::server(&e))
            }
        }
    }
}

/// Where files go.
struct Folders {
    work: PathBuf,
    code: PathBuf,
    compiled: PathBuf,
}

impl Folders {
    /// Makes the folders; what an earlier start left of attempts is removed.
    fn make(config: &Config, home: &Home, peer: &str) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| error::io("the home's folders", &e);
        let work = match &config.executor.work_dir {
            // Others may work there too; names of sockets leave little room.
            Some(shared) => shared.join(peer.get(peer.len().saturating_sub(8)..).unwrap_or(peer)),
            None => home.path().join("work"),
        };
        let (code, compiled) = (home.path().join("code"), home.path().join("compiled"));
        for folder in [&work, &code, &compiled] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(failed)?;
        }
        scratch::clear(&work).map_err(failed)?;
        Ok(Self {
            work,
            code,
            compiled,
        })
    }
}

/// Passes what the mesh says to the role it is for.
async fn pump(mut events: mesh::Events, compute: Compute) {
    while let Some(event) = events.recv().await {
        compute.hear(event);
    }
}

/// Says what this node offers, for ever.
async fn advertise(mesh: Mesh, compute: Compute, period: Duration) {
    loop {
        mesh.set_advert(compute.advert(period));
        compute.allow_changed(period / 2).await;
    }
}

/// Lets go of expired results, for ever.
async fn collect(compute: Compute) {
    loop {
        tokio::time::sleep(GC_INTERVAL).await;
        if let Err(error) = compute.storage().gc(false).await {
            info!(%error, "expired results are still kept");
        }
    }
}

/// Gives the mesh back the executors that did well before.
fn restore(mesh: &Mesh, store: &Store) -> Result<(), Failure> {
    let known = store.executors(REMEMBERED).map_err(|e| error::store(&e))?;
    let remembered = known.into_iter().filter_map(|(peer, addresses)| {
        let addresses = serde_json::from_str(&addresses).unwrap_or_default();
        Some(mesh::Remembered {
            peer: peer.parse().ok()?,
            addresses,
        })
    });
    mesh.restore(remembered.collect());
    Ok(())
}

fn slots(asked: u32) -> u32 {
    let cores =
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    if asked == 0 { cores } else { asked }
}

fn rules(config: &Config, store: &Store) -> Result<Vec<Rule>, Failure> {
    let configured = config.executor.allow.iter().map(|who| (who.clone(), None));
    let stored = store.allowed().map_err(|e| error::store(&e))?;
    let rule = |(who, until): (String, Option<u64>)| match who.parse() {
        Ok(who) => Ok(Rule { who, until }),
        Err(problem) => Err(error::setting("executor.allow", &problem)),
    };
    configured.chain(stored).map(rule).collect()
}

fn mesh_config(config: &Config, is_attached: bool) -> mesh::Config {
    mesh::Config {
        mesh: config.mesh.name.clone(),
        peers: config.mesh.peers.clone(),
        carrier: config.mesh.carrier,
        forward: config.mesh.forward,
        attached: is_attached,
        advert_interval: config.mesh.advert_interval.0,
        ..mesh::Config::default()
    }
}

/// What runs Lambda functions.
fn functions(config: &Config, folders: &Folders, docker: Docker, tasks: &Tasks) -> Lambda {
    let settings = lambda::Config {
        work_dir: folders.work.clone(),
        runtimes: config.lambda.images.keys().cloned().collect(),
        max_warm: config.lambda.max_warm as usize,
        idle_timeout: config.lambda.idle.0,
    };
    Lambda::start(settings, docker, tasks)
}

/// The images of runtimes.
fn lambda_images(config: &Config) -> Result<BTreeMap<String, Cid>, Failure> {
    let images = config.lambda.images.iter();
    let parsed = images.map(|(runtime, image)| match image.parse::<Cid>() {
        Ok(cid) => Ok((runtime.clone(), cid)),
        Err(_) => {
            let why = format!("{image:?} is no CID; store it: timerose image add {image}");
            Err(error::setting(&format!("lambda.images.{runtime}"), &why))
        }
    });
    parsed.collect()
}

fn executor_config(
    config: &Config,
    folders: &Folders,
    slots: u32,
) -> Result<executor::Config, Failure> {
    Ok(executor::Config {
        slots,
        max_memory_bytes: config
            .executor
            .max_memory
            .map_or_else(half_of_memory, |size| size.0),
        max_queued: slots.saturating_mul(QUEUED_PER_SLOT),
        max_unpacked_bytes: config.executor.max_unpacked.0,
        work_dir: folders.work.clone(),
        cache_dir: folders.code.clone(),
        lambda_images: lambda_images(config)?,
        labels: config.executor.labels.clone(),
    })
}

/// Bytes: half of what this machine has.
#[cfg(target_os = "linux")]
fn half_of_memory() -> u64 {
    let machine = rustix::system::sysinfo();
    u64::from(machine.mem_unit).saturating_mul(machine.totalram) / 2
}

/// Bytes: what any machine has, where the system is not asked.
#[cfg(not(target_os = "linux"))]
const fn half_of_memory() -> u64 {
    2 << 30
}

fn scheduler_config(config: &Config) -> scheduler::Config {
    scheduler::Config {
        max_open: config.scheduler.max_open as usize,
        lease_ttl: config.scheduler.lease_ttl.0,
        max_attempts: MAX_ATTEMPTS,
    }
}
