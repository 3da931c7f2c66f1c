//! Containers on an engine that is there already: Docker or Podman.
//!
//! Takes attempts, gives outputs; loads images. Looks for an engine by itself
//! and tests from inside what it promises before anything foreign runs; while
//! there is none, or it breaks a promise, says so and runs nothing.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cid::Cid;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Attempt, Error, Output, Program, Sandbox, Usage,
    capped::{Log, Out},
    error::of_io,
    folders::{self, NOBODY},
    tree,
};
use crate::task::Tasks;

mod archive;
mod canary;
mod container;
mod engine;
mod images;
mod settings;

pub use archive::{Part, Pieces};
pub(super) use canary::PROGRAM;
pub(super) use container::Container;
use engine::Engine;
pub use images::Image;
use settings::Common;
pub(super) use settings::{Bind, Declared, Spec};

/// How long after a failure an engine is looked for again.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// How [`Docker`] works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where an engine may listen, the best place first; none: it is off.
    pub sockets: Vec<PathBuf>,
    /// Names all that this node makes; another node on the same engine has
    /// another.
    pub home: String,
    /// A folder that the engine sees under the same name.
    pub work_dir: PathBuf,
    /// Processors that one container may use.
    pub processors: f64,
    /// Addresses that must not be reached from a container, `IP:PORT`.
    pub forbidden: Vec<String>,
}

/// The container sandbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Docker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    tasks: Tasks,
    /// None while the first look goes on.
    found: watch::Sender<Option<Found>>,
    /// An engine was lost.
    lost: Notify,
    /// One image at a time: a second attempt finds it there.
    loading: Mutex<()>,
    /// Images that the engine had when it was last asked.
    known: parking_lot::Mutex<HashSet<Cid>>,
}

/// What runs containers, or why nothing does.
pub(super) type Found = Result<Containers, String>;

/// An engine with what all its containers have in common.
#[derive(Clone, Debug)]
pub(super) struct Containers {
    engine: Engine,
    common: Common,
    tasks: Tasks,
}

impl Docker {
    /// Begins to look for an engine, within `tasks`, and goes on for ever.
    #[must_use]
    pub fn start(config: Config, tasks: &Tasks) -> Self {
        let is_off = config.sockets.is_empty();
        let off = is_off.then(|| Err("it is off: docker.enabled".to_owned()));
        let docker = Self {
            inner: Arc::new(Inner {
                config,
                tasks: tasks.clone(),
                found: watch::Sender::new(off),
                lost: Notify::new(),
                loading: Mutex::default(),
                known: parking_lot::Mutex::default(),
            }),
        };
        if !is_off {
            let looking = docker.clone();
            tasks.spawn("docker.look", async move { looking.look().await });
        }
        docker
    }

    /// The engine in use, as receipts name it.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn engine(&self) -> Result<String, String> {
        Ok(self.containers()?.engine.version)
    }

    /// The engine's name of `image`, where it has it.
    ///
    /// # Errors
    /// When there is no engine.
    pub async fn image(&self, image: &Cid) -> Result<Option<String>, Error> {
        let name = images::name_of(image);
        let containers = self.containers().map_err(Error::Unavailable)?;
        if self.inner.known.lock().contains(image) {
            return Ok(Some(name));
        }
        let has = containers.engine.has(&name).await;
        if has {
            self.inner.known.lock().insert(*image);
        }
        Ok(has.then_some(name))
    }

    /// The engine's name of `image`, after it was loaded from what `open`
    /// gives, if it was not there.
    ///
    /// # Errors
    /// When the engine is gone or refuses it; those of `open`.
    pub async fn load<E, F>(&self, image: &Cid, open: impl FnOnce() -> F) -> Result<String, E>
    where
        E: From<Error>,
        F: Future<Output = Result<Image, E>>,
    {
        if let Some(name) = self.image(image).await? {
            return Ok(name);
        }
        let _one_at_a_time = self.inner.loading.lock().await;
        if let Some(name) = self.image(image).await? {
            return Ok(name);
        }
        let parts = open().await?;
        let name = images::name_of(image);
        let containers = self.containers().map_err(Error::Unavailable)?;
        images::load(&containers.engine, &name, parts).await?;
        Ok(name)
    }

    /// The bytes of one of the engine's images, as `docker save` writes them;
    /// none where it has no such image.
    ///
    /// # Errors
    /// When there is no engine.
    pub async fn export(&self, name: &str) -> Result<Option<Pieces>, Error> {
        let containers = self.containers().map_err(Error::Unavailable)?;
        let has = containers.engine.has(name).await;
        Ok(has.then(|| images::export(&containers.engine, name)))
    }

    /// Waits until the first look for an engine is over.
    pub async fn settled(&self) {
        let mut found = self.inner.found.subscribe();
        let _sender_is_ours = found.wait_for(Option::is_some).await;
    }

    /// What runs containers here.
    pub(super) fn containers(&self) -> Found {
        let found = self.inner.found.borrow().clone();
        found.unwrap_or_else(|| Err("an engine is still being looked for".to_owned()))
    }

    /// Finds an engine, and another one whenever it is lost.
    async fn look(&self) {
        loop {
            let found = self.find().await;
            let is_found = found.is_ok();
            match &found {
                Ok(containers) => {
                    let Engine { version, place, .. } = &containers.engine;
                    info!(engine = version, place, "containers run here");
                }
                Err(why) => info!(why, "no containers run here"),
            }
            self.inner.found.send_replace(Some(found));
            if is_found {
                self.inner.lost.notified().await;
            } else {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
    }

    async fn find(&self) -> Found {
        let config = &self.inner.config;
        let engine = Engine::find(&config.sockets).await?;
        let reaped = engine.reap(&config.home).await;
        match reaped.map_err(|error| error.to_string())? {
            0 => {}
            count => warn!(count, "containers of an earlier start were removed"),
        }
        let containers = Containers {
            common: common(config, &engine),
            engine,
            tasks: self.inner.tasks.clone(),
        };
        canary::sing(&containers, &config.work_dir, &config.forbidden).await?;
        Ok(containers)
    }

    /// The engine failed: what was known of it may be so no more.
    pub(super) async fn doubt(&self, containers: &Containers) {
        self.inner.known.lock().clear();
        if containers.engine.docker.ping().await.is_err() {
            let lost = Err("its engine does not answer any more".to_owned());
            self.inner.found.send_replace(Some(lost));
            self.inner.lost.notify_one();
        }
    }

    async fn attempt(&self, attempt: Attempt, cancel: CancellationToken) -> Result<Output, Error> {
        let containers = self.containers().map_err(Error::Unavailable)?;
        let result = containers.run(attempt, cancel).await;
        if matches!(result, Err(Error::Engine(_))) {
            self.doubt(&containers).await;
        }
        result
    }
}

impl Sandbox for Docker {
    fn runtime(&self) -> &'static str {
        "docker"
    }

    fn offers(&self) -> Result<Vec<String>, String> {
        self.containers().map(|_| vec!["image".to_owned()])
    }

    fn run(
        &self,
        attempt: Attempt,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Output, Error>> {
        self.attempt(attempt, cancel).boxed()
    }
}

/// Where this program is nobody special, containers run as its own user, who
/// can read what they leave.
fn common(config: &Config, engine: &Engine) -> Common {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let user = match uid.is_root() || engine.has_user_namespaces {
        true => format!("{NOBODY}:{NOBODY}"),
        false => format!("{}:{}", uid.as_raw(), gid.as_raw()),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a few processors")]
    let nano_cpus = (config.processors * 1e9) as i64;
    Common {
        user,
        runtime: engine.runtime.clone(),
        nano_cpus,
        home: config.home.clone(),
    }
}

impl Containers {
    /// One container for one attempt.
    async fn run(&self, attempt: Attempt, cancel: CancellationToken) -> Result<Output, Error> {
        let (work, limits) = (attempt.work.clone(), attempt.limits);
        let mut out = Out::at(work.join("stdout"), limits.output_bytes);
        let mut log = Log::at(work.join("stderr"), limits.log_bytes);
        let ended = self.contained(attempt, cancel, (&mut out, &mut log)).await;
        if let Err(Error::User(fault)) = &ended {
            log.explain(fault);
        }
        self.collect(&work, limits.output_bytes, out, ended?).await
    }

    /// From the creation of the container to its end.
    async fn contained(
        &self,
        mut attempt: Attempt,
        cancel: CancellationToken,
        said: container::Said<'_>,
    ) -> Result<Usage, Error> {
        let Program::Docker(program) = attempt.program.clone() else {
            return Err(Error::Unavailable("it runs containers only".to_owned()));
        };
        let (limits, stdin) = (attempt.limits, attempt.stdin.take());
        folders::give(&attempt).map_err(of_io)?;
        let spec = Spec::of(&attempt, &program, stdin.is_some());
        let declared = self.declared(&spec.image).await?;
        let container = self.create(&spec, &declared).await?;
        let attached = container.attach(spec.has_stdin).await?;
        container.start().await?;
        let (began, mut memory_peak_bytes) = (Instant::now(), 0);
        let wall = Duration::from_millis(limits.wall_ms);
        let out = attempt.work.join("out");
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            error = tree::watch(&self.tasks, out, limits.output_bytes) => Err(error),
            never = container.weigh(|bytes| memory_peak_bytes = bytes.max(memory_peak_bytes)) => match never {},
            code = tokio::time::timeout(wall, container.converse(attached, stdin, said)) => {
                code.unwrap_or(Err(Error::Deadline { after: wall }))
            }
        };
        let run_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match ended {
            Ok(code) => container.verdict(code, &limits).await?,
            Err(error) => {
                container.stop().await;
                return Err(error);
            }
        }
        Ok(Usage {
            run_us,
            memory_peak_bytes,
            cold: true,
            ..Usage::default()
        })
    }

    /// Makes a container; nothing runs yet.
    pub(super) async fn create(
        &self,
        spec: &Spec,
        declared: &Declared,
    ) -> Result<Container, Error> {
        let body = settings::body(&self.common, spec, declared);
        Container::create(self.engine.docker.clone(), body, self.tasks.clone()).await
    }

    /// What an image says that matters to its containers.
    pub(super) async fn declared(&self, image: &str) -> Result<Declared, Error> {
        images::declared(&self.engine, image).await
    }

    /// What the container left, once nothing in it runs any more.
    async fn collect(
        &self,
        work: &Path,
        limit: u64,
        said: Out,
        usage: Usage,
    ) -> Result<Output, Error> {
        let (written, stdout) = said.into_stdout().map_err(of_io)?;
        let out = work.join("out");
        let root = out.clone();
        let measured = self
            .tasks
            .spawn_blocking(move || tree::measure(&root, written, limit));
        let measured = measured
            .await
            .map_err(|e| of_io(std::io::Error::other(e)))?;
        let size = measured.map_err(of_io)??;
        Ok(Output {
            stdout,
            out_dir: (size.entries > 0).then_some(out),
            logs: work.join("stderr"),
            exit: 0,
            usage,
        })
    }
}
