//! Is Kubo up?
//!
//! Takes a [`Client`], gives a `watch` channel of [`Presence`]. Down is told at
//! once when the api file vanishes: a subscription that stays open then holds
//! Kubo's shutdown for 30 s. Up is told only once the RPC answered, because the
//! file stays behind when Kubo is killed. Never re-subscribes anything itself.

use std::{os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{Client, Error, NodeId};
use crate::task::Tasks;

/// How often the api file is looked at: a `stat` costs microseconds, and Kubo's
/// shutdown waits for what depends on it.
const FILE_INTERVAL: Duration = Duration::from_millis(200);

/// How often the RPC is asked while all is well.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How long one probe may take before it counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// So many probes in a row must time out before a Kubo that accepts
/// connections counts as down: it may be overloaded.
const SLOW_PROBES: u32 = 3;

/// First and longest wait between probes of a Kubo that is down.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Whether Kubo is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It does not answer, or is stopping: let go of every stream.
    Down,
    /// It answers.
    Up {
        /// Its word about itself; addresses change with a restart.
        node: NodeId,
        /// Counts the times that it came up: in a new era nothing that was set
        /// up with Kubo before still holds.
        era: u64,
    },
}

/// The watch's handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    presence: watch::Receiver<Presence>,
    nudge: Arc<Notify>,
}

impl Watch {
    /// Follows the changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Presence> {
        self.presence.clone()
    }

    /// The present state.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.presence.borrow().clone()
    }

    /// Asks for a probe now, for whoever saw a stream end.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Waits until Kubo is up; never ends if the watch was cancelled.
    pub async fn up(&self) -> NodeId {
        let mut presence = self.presence.clone();
        loop {
            if let Presence::Up { node, .. } = &*presence.borrow_and_update() {
                return node.clone();
            }
            if presence.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Starts watching; ends when `tasks` is cancelled. [`Presence::Down`] until
/// the first probe succeeded.
#[must_use]
pub fn spawn(client: Client, tasks: &Tasks) -> Watch {
    let (presence, receiver) = watch::channel(Presence::Down);
    let nudge = Arc::new(Notify::new());
    let watcher = Watcher {
        client,
        presence,
        nudge: Arc::clone(&nudge),
        era: 0,
    };
    tasks.spawn("kubo.watch", watcher.run());
    Watch {
        presence: receiver,
        nudge,
    }
}

struct Watcher {
    client: Client,
    presence: watch::Sender<Presence>,
    nudge: Arc<Notify>,
    era: u64,
}

/// What tells one api file from another: a restart writes a new one.
type FileMark = (u64, i64, i64);

impl Watcher {
    /// The two states, for ever.
    async fn run(mut self) {
        loop {
            let mark = self.down().await;
            self.up(mark).await;
        }
    }

    /// Probes until the RPC answers; gives the api file that led to it.
    async fn down(&mut self) -> Option<FileMark> {
        let mut pause = FIRST_RETRY;
        loop {
            let mark = self.mark().await;
            let answer = self.probe().await;
            // A file written meanwhile may name another daemon than the one that
            // answered.
            let is_settled = self.mark().await == mark;
            let is_named = mark.is_some() || !self.client.endpoint().is_named_by_file();
            match answer {
                Ok(node) if is_settled && is_named => {
                    self.era += 1;
                    info!(kubo.peer = %node.peer, kubo.era = self.era, "Kubo answers");
                    self.presence.send_replace(Presence::Up {
                        node,
                        era: self.era,
                    });
                    return mark;
                }
                // A daemon that has removed its file is stopping, and may answer
                // to the end.
                Ok(_stopping_or_starting) => {}
                Err(error) => tracing::debug!(%error, "Kubo does not answer"),
            }
            let _nudged = timeout(pause, self.nudge.notified()).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Returns when Kubo is gone, having said so.
    async fn up(&mut self, mark: Option<FileMark>) {
        let mut slow = 0;
        loop {
            let reason = match self.quiet(mark).await {
                Some(reason) => reason,
                None => match self.probe().await {
                    Ok(_) => {
                        slow = 0;
                        continue;
                    }
                    Err(Error::Timeout { .. }) if slow + 1 < SLOW_PROBES => {
                        slow += 1;
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
            };
            warn!(reason, "Kubo is down");
            self.presence.send_replace(Presence::Down);
            if let Err(error) = self.client.close_idle() {
                warn!(%error, "connections to Kubo stay open");
            }
            return;
        }
    }

    /// Waits for the next probe; gives a reason if the api file changed first.
    async fn quiet(&self, mark: Option<FileMark>) -> Option<String> {
        let until = Instant::now() + PROBE_INTERVAL;
        while Instant::now() < until {
            if mark.is_some() && self.mark().await != mark {
                return Some("its api file vanished or was replaced".to_owned());
            }
            let pause = sleep_until(until.min(Instant::now() + FILE_INTERVAL));
            tokio::select! {
                () = pause => {}
                () = self.nudge.notified() => break,
            }
        }
        None
    }

    async fn probe(&self) -> Result<NodeId, Error> {
        self.client.refresh_endpoint()?;
        let over = Error::Timeout {
            command: "id",
            after: PROBE_TIMEOUT,
        };
        timeout(PROBE_TIMEOUT, self.client.id())
            .await
            .unwrap_or(Err(over))
    }

    /// The api file's mark; nothing if there is none.
    async fn mark(&self) -> Option<FileMark> {
        let endpoint = self.client.endpoint();
        let meta = tokio::fs::metadata(endpoint.file()?).await.ok()?;
        Some((meta.ino(), meta.mtime(), meta.mtime_nsec()))
    }
}
