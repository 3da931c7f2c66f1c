//! Which containers stay warm: by owner and function, bounded in number, for a
//! time.
//!
//! Takes instances back and gives them out again; ends those that nobody asked
//! for. Never gives one to another owner, or to another function.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::instance::Instance;

/// Whose container it is, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The peer that runs it.
    pub(super) owner: String,
    /// The function's CID: its code, its settings, its environment.
    pub(super) function: String,
    /// Bytes of memory that the container has.
    pub(super) memory_bytes: u64,
}

/// Warm instances.
#[derive(Debug)]
pub(super) struct Pool {
    max: usize,
    idle_timeout: Duration,
    /// Least recently used first.
    idle: Mutex<Vec<(Key, Instant, Instance)>>,
}

impl Pool {
    /// At most `max` of them, each for `idle_timeout`.
    pub(super) const fn new(max: usize, idle_timeout: Duration) -> Self {
        Self {
            max,
            idle_timeout,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The one used last for `key` that is still alive.
    pub(super) fn take(&self, key: &Key) -> Option<Instance> {
        let mut idle = self.lock();
        while let Some(at) = idle.iter().rposition(|(known, _, _)| known == key) {
            let (_, _, instance) = idle.remove(at);
            if instance.is_alive() {
                return Some(instance);
            }
        }
        None
    }

    /// Keeps an instance warm; the one that was idle for longest may go.
    pub(super) fn keep(&self, key: Key, instance: Instance) {
        let mut idle = self.lock();
        idle.push((key, Instant::now(), instance));
        let surplus = idle.len().saturating_sub(self.max);
        let _gone: Vec<_> = idle.drain(..surplus).collect();
    }

    /// Ends what has been idle for too long, or is dead.
    pub(super) fn expire(&self) {
        self.lock().retain(|(_, since, instance)| {
            since.elapsed() < self.idle_timeout && instance.is_alive()
        });
    }

    /// Ends all.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// How many are warm.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Key, Instant, Instance)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
