//! One warm container of one function: its sockets, its runtime, its runs.
//!
//! Takes events one at a time, gives answers. Gone with this value: container,
//! sockets and all that was said.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{net::UnixListener, time::Instant};
use tokio_util::sync::DropGuard;

use super::{
    api::{Counter, router},
    desk::{Desk, Ended, Event},
    hearing::Hearing,
};
use crate::{
    sandbox::{
        Error,
        capped::Log,
        docker::{Bind, Container, Containers, Spec},
        error::of_io,
        scratch::Scratch,
    },
    task::Tasks,
};

/// Where a container finds its sockets.
const PLACE: &str = "/run/timerose";
/// Where it finds what runs first in it.
const INIT: &str = "/container-init";

/// A container that runs events.
#[derive(Debug)]
pub(super) struct Instance {
    desk: Arc<Desk>,
    hearing: Arc<Hearing>,
    container: Arc<Container>,
    memory: Arc<AtomicU64>,
    /// When it was started.
    pub(super) began: Instant,
    _folder: Scratch,
    _tasks: DropGuard,
}

impl Instance {
    /// Starts the container of `spec`, with sockets below `work_dir`; its
    /// runtime still has to come up.
    pub(super) async fn start(
        containers: &Containers,
        (work_dir, init): (&Path, &Path),
        mut spec: Spec,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let folder = Scratch::new("l-", work_dir).map_err(of_io)?;
        let tasks = tasks.child();
        let (desk, hearing) = (Arc::new(Desk::new()), Arc::new(Hearing::default()));
        let counter = Counter {
            desk: Arc::clone(&desk),
            hearing: Arc::clone(&hearing),
        };
        serve(folder.path(), counter, &tasks).map_err(of_io)?;
        spec.binds
            .extend([shown(folder.path(), PLACE), shown(init, INIT)]);
        let declared = containers.declared(&spec.image).await?;
        let of_image = || [&declared.entrypoint[..], &declared.command].concat();
        spec.command = spec.entrypoint.take().unwrap_or_else(of_image);
        spec.entrypoint = Some(vec![INIT.to_owned(), "lambda".to_owned()]);
        let began = Instant::now();
        let container = Arc::new(containers.create(&spec, &declared).await?);
        container.start().await?;
        let memory = Arc::new(AtomicU64::new(0));
        watch(&container, &desk, &memory, &tasks);
        Ok(Self {
            desk,
            hearing,
            container,
            memory,
            began,
            _folder: folder,
            _tasks: tasks.cancel_on_drop(),
        })
    }

    /// Gives what is said from now on to `log`.
    pub(super) fn listen(&self, log: Log) {
        self.hearing.begin(log);
    }

    /// The log, with all that was said up to now.
    pub(super) fn heard(&self) -> Option<Log> {
        self.hearing.end()
    }

    /// Waits until its runtime asks for an event.
    pub(super) async fn ready(&self) -> Result<(), Ended> {
        self.desk.ready().await
    }

    /// Runs one event.
    pub(super) async fn run(&self, event: Event) -> Ended {
        self.desk.run(event).await
    }

    /// Whether it can run another one.
    pub(super) fn is_alive(&self) -> bool {
        self.desk.is_alive()
    }

    /// The most memory that it was seen to use, bytes.
    pub(super) fn memory_peak(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Whether its memory was used up.
    pub(super) async fn was_out_of_memory(&self) -> bool {
        self.container.was_out_of_memory().await.unwrap_or(false)
    }
}

fn shown(source: &Path, target: &'static str) -> Bind {
    Bind {
        source: source.to_owned(),
        target,
        is_writable: false,
    }
}

/// Listens on both sockets.
fn serve(folder: &Path, counter: Counter, tasks: &Tasks) -> io::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let (api, logs) = (
        bind(&folder.join("api.sock"))?,
        bind(&folder.join("logs.sock"))?,
    );
    let hearing = Arc::clone(&counter.hearing);
    tasks.spawn("lambda.logs", async move {
        let _until_it_is_gone = hearing.listen(logs).await;
    });
    tasks.spawn("lambda.api", async move {
        let _never_ends = axum::serve(api, router(counter)).await;
    });
    Ok(())
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Tells the desk of the container's end, and notes what memory it uses.
fn watch(container: &Arc<Container>, desk: &Arc<Desk>, memory: &Arc<AtomicU64>, tasks: &Tasks) {
    let (watched, desk) = (Arc::clone(container), Arc::clone(desk));
    tasks.spawn("lambda.watch", async move {
        let code = watched.exit_code().await.unwrap_or(-1);
        desk.exited(code);
    });
    let (weighed, memory) = (Arc::clone(container), Arc::clone(memory));
    tasks.spawn("lambda.weigh", async move {
        let note = |bytes| {
            memory.fetch_max(bytes, Ordering::Relaxed);
        };
        match weighed.weigh(note).await {}
    });
}
