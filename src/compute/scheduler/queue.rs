//! Durable invocations that wait for their turn: names with a time.
//!
//! Takes names and when each is due, gives the one that is due first. What an
//! invocation is lies on disk meanwhile, so that many may wait.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    by_time: BTreeSet<(Instant, String)>,
    /// When each is due, and how many searches for executors it has behind it.
    waiting: HashMap<String, (Instant, u32)>,
}

impl Queue {
    /// Queues `name`; what waits already waits until `due` instead.
    pub(super) fn push(&self, name: &str, due: Instant, searches: u32) {
        let mut inner = self.inner.lock();
        if let Some((before, _)) = inner.waiting.insert(name.to_owned(), (due, searches)) {
            inner.by_time.remove(&(before, name.to_owned()));
        }
        inner.by_time.insert((due, name.to_owned()));
        drop(inner);
        self.changed.notify_one();
    }

    /// Takes what waits out of its line; gives whether it was there.
    pub(super) fn remove(&self, name: &str) -> bool {
        let mut inner = self.inner.lock();
        let waiting = inner.waiting.remove_entry(name);
        waiting.is_some_and(|(name, (due, _))| inner.by_time.remove(&(due, name)))
    }

    /// Waits for the next that is due; gives its name and its searches.
    pub(super) async fn next(&self) -> (String, u32) {
        loop {
            let due = match self.take(Instant::now()) {
                Ok(next) => return next,
                Err(due) => due,
            };
            let changed = self.changed.notified();
            match due {
                Some(due) => {
                    let _due_or_changed = timeout_at(due, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// The first that is due, or when there will be one.
    fn take(&self, now: Instant) -> Result<(String, u32), Option<Instant>> {
        let mut inner = self.inner.lock();
        match inner.by_time.first() {
            Some((due, _)) if *due > now => return Err(Some(*due)),
            None => return Err(None),
            Some(_) => {}
        }
        let first = inner.by_time.pop_first().ok_or(None)?;
        let (_, searches) = inner.waiting.remove(&first.1).unwrap_or((first.0, 0));
        Ok((first.1, searches))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_that_is_due_comes_first_and_one_that_was_removed_never() {
        let (queue, now) = (Queue::default(), Instant::now());
        queue.push("late", now + Duration::from_secs(9), 3);
        queue.push("soon", now + Duration::from_secs(1), 0);
        queue.push("removed", now, 1);
        assert!(queue.remove("removed"));
        assert!(!queue.remove("removed"));
        assert_eq!(queue.next().await, ("soon".to_owned(), 0));
        assert_eq!(queue.next().await, ("late".to_owned(), 3));
        assert_eq!(Instant::now() - now, Duration::from_secs(9));
    }
}
