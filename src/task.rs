//! Owns every spawned future: names it, cancels it, waits for it.
//!
//! Takes futures, gives a [`Tasks`] tree. The only file that calls
//! `tokio::spawn`; it never decides what a task does.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{Instrument, debug, debug_span};

/// A family of tasks that is cancelled and drained together. Cheap to clone;
/// all clones are the same family.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// An empty family.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A family of its own that is also cancelled when `self` is, and that
    /// `self` waits for.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            tracker: self.tracker.clone(),
        }
    }

    /// The token that tells a task to end.
    #[must_use]
    pub fn cancelled(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Cancels the family when the returned guard is dropped.
    #[must_use]
    pub fn cancel_on_drop(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    /// Starts `future`; it is dropped at its next await once the family is
    /// cancelled. For work that must finish by itself use [`Self::spawn_to_end`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        // Boxed once, for each wrapper around a future copies it.
        let future = Box::pin(future);
        self.spawn_to_end(name, async move {
            let _ended = token.run_until_cancelled(future).await;
        })
    }

    /// Starts `future`, which watches [`Self::cancelled`] itself and cleans up.
    pub fn spawn_to_end<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker
            .spawn(future.instrument(debug_span!("task", task.name = name)))
    }

    /// Runs blocking `work` on a thread that may block.
    pub fn spawn_blocking<T, W>(&self, work: W) -> JoinHandle<T>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// Tells every task to end, without waiting.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Cancels and waits up to `grace`; what is still running then is left to
    /// end with the runtime. Gives whether all ended in time.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        let drained = tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok();
        debug!(drained, "tasks ended");
        drained
    }
}

/// Runs blocking `work` that nobody waits for on a thread that may block; where
/// no runtime is, at once.
pub fn aside<W>(work: W)
where
    W: FnOnce() + Send + 'static,
{
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_no_runtime) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_what_waits_for_ever() {
        let tasks = Tasks::new();
        tasks.spawn("forever", std::future::pending());
        assert!(tasks.shutdown(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_a_child_leaves_the_parent_running() {
        let tasks = Tasks::new();
        tasks.child().cancel();
        assert!(!tasks.cancelled().is_cancelled());
    }
}
