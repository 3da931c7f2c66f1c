//! Which processes there are: warm ones by owner, bounded in number.
//!
//! Takes an owner, gives a [`Lease`] on a process that no other owner ever
//! used. Never kills a busy process; waits when all are busy.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{process::Process, worker::Places};
use crate::{
    sandbox::{Error, error::of_io, folders, owner_folder},
    task::Tasks,
};

/// All processes of a sandbox.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    roots: Roots,
    slots: Arc<Semaphore>,
    max: usize,
    state: Mutex<State>,
}

/// Where all processes have their places.
#[derive(Debug)]
pub(super) struct Roots {
    /// Compiled code.
    pub(super) cache: PathBuf,
    /// Attempts.
    pub(super) work: PathBuf,
    /// Modules.
    pub(super) code: PathBuf,
}

impl Roots {
    /// What a process of `owner` may reach, made where it is not there.
    fn of(&self, owner: &str) -> io::Result<Places> {
        let name = owner_folder(owner);
        let write = vec![self.cache.join(&name), self.work.join(&name)];
        for folder in &write {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            folders::own(folder)?;
        }
        folders::enter(&self.code)?;
        Ok(Places {
            read: vec![self.code.clone()],
            write,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    /// Least recently used first.
    idle: Vec<Idle>,
    busy: usize,
}

#[derive(Debug)]
struct Idle {
    owner: String,
    process: Process,
    since: Instant,
}

impl Pool {
    /// An empty pool; a task of `tasks` ends what idles for `idle_timeout`.
    pub(super) fn new(
        (program, roots): (PathBuf, Roots),
        (max, idle_timeout): (usize, Duration),
        tasks: &Tasks,
    ) -> Self {
        let max = max.max(1);
        let slots = Arc::new(Semaphore::new(max));
        let shared = Arc::new(Shared {
            program,
            roots,
            slots,
            max,
            state: Mutex::default(),
        });
        tasks.spawn("sandbox.reap", reap(Arc::downgrade(&shared), idle_timeout));
        Self { shared }
    }

    /// A process for `owner`, warm where there is one. Waits for a free slot.
    pub(super) async fn lease(&self, owner: &str) -> Result<Lease, Error> {
        let slot = Arc::clone(&self.shared.slots).acquire_owned().await;
        let slot = slot.map_err(|_| Error::Cancelled)?;
        let (warm, surplus) = self.shared.claim(owner);
        let seat = Seat {
            shared: Arc::clone(&self.shared),
            owner: owner.to_owned(),
            _slot: slot,
        };
        for mut process in surplus {
            process.end().await;
        }
        let is_new = warm.is_none();
        let start = || {
            let places = self.shared.roots.of(owner).map_err(of_io)?;
            Process::start(&self.shared.program, &places)
        };
        let process = warm.map_or_else(start, Ok)?;
        Ok(Lease {
            process,
            is_new,
            seat,
        })
    }

    /// Ids of the idle processes.
    pub(super) fn idle(&self) -> Vec<u32> {
        self.shared
            .state()
            .idle
            .iter()
            .filter_map(|one| one.process.id())
            .collect()
    }

    /// Ends all idle processes.
    pub(super) async fn clear(&self) {
        let idle = std::mem::take(&mut self.shared.state().idle);
        for mut one in idle {
            one.process.end().await;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner's most recent live process, and those that are over the
    /// number allowed or dead.
    fn claim(&self, owner: &str) -> (Option<Process>, Vec<Process>) {
        let mut state = self.state();
        let mut surplus = Vec::new();
        state.busy += 1;
        while let Some(at) = state.idle.iter().rposition(|one| one.owner == owner) {
            let mut process = state.idle.remove(at).process;
            if process.is_alive() {
                return (Some(process), surplus);
            }
            surplus.push(process);
        }
        while state.busy + state.idle.len() > self.max && !state.idle.is_empty() {
            surplus.push(state.idle.remove(0).process);
        }
        (None, surplus)
    }
}

/// The exclusive use of one process. Dropped without being given back, it
/// kills the process.
#[derive(Debug)]
pub(super) struct Lease {
    process: Process,
    is_new: bool,
    seat: Seat,
}

/// One of the processes that may be busy.
#[derive(Debug)]
struct Seat {
    shared: Arc<Shared>,
    owner: String,
    _slot: OwnedSemaphorePermit,
}

impl Lease {
    /// The process leased.
    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether the process was started for this lease.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Keeps the process warm for its owner's next attempt.
    pub(super) fn give_back(self) {
        let Self { process, seat, .. } = self;
        let owner = seat.owner.clone();
        seat.shared.state().idle.push(Idle {
            owner,
            process,
            since: Instant::now(),
        });
    }

    /// Kills the process, waits until it is gone, and frees its place.
    pub(super) async fn end(mut self) -> Process {
        self.process.end().await;
        self.process
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.state().busy -= 1;
    }
}

async fn reap(shared: Weak<Shared>, idle_timeout: Duration) {
    let interval = (idle_timeout / 4).max(Duration::from_millis(10));
    loop {
        tokio::time::sleep(interval).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let expired: Vec<_> = {
            let mut state = shared.state();
            state
                .idle
                .extract_if(.., |one| one.since.elapsed() >= idle_timeout)
                .collect()
        };
        for mut one in expired {
            one.process.end().await;
        }
    }
}
