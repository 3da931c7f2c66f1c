//! The scheduler role: owns invocations from submission to result.
//!
//! Takes requests from the doors and messages of executors, gives events.
//! Each open invocation is driven by a task of its own (`drive`), which
//! decides by a pure machine (`lifecycle`) where to try next; candidates come
//! from `placement`, their order from `ranking`.

mod bounds;
mod brake;
mod budget;
mod doubt;
mod drive;
mod durable;
mod ends;
mod follow;
pub(super) mod gate;
mod input;
mod kept;
pub(super) mod lifecycle;
mod nobody;
mod open;
mod pace;
mod placement;
mod prepare;
mod queue;
pub mod ranking;
mod recent;
mod reconcile;
mod search;
mod settle;
mod steps;
mod verify;

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(super) use self::follow::Following;
use self::{
    drive::{Door, Driver},
    follow::Followers,
    open::Open,
    placement::Placement,
    prepare::Prepared,
    queue::Queue,
};
use super::{
    ByteStream, Explanation, Failure, InvocationEvent, InvokeRequest, Record, content::Content,
    function::Functions, memo::Memo,
};
use crate::{
    kubo,
    mesh::{Address, Mesh},
    model::{Class, InvocationId, LeaseId, Message},
    store::{Ledger, Store},
    task::Tasks,
};

/// How long a wish for the end waits to see it.
const CANCEL_WAIT: Duration = Duration::from_secs(3);
/// Events that may wait for a slow door.
const MAX_EVENTS: usize = 64;

/// Settings of a scheduler.
#[derive(Clone, Debug)]
pub struct Config {
    /// Invocations open at once; more are refused as busy.
    pub max_open: usize,
    /// Silence a lease survives on its executor.
    pub lease_ttl: Duration,
    /// Tries of one invocation.
    pub max_attempts: u32,
}

/// What a scheduler is made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) kubo: kubo::Client,
    pub(crate) mesh: Mesh,
    pub(crate) content: Content,
    pub(crate) functions: Functions,
    pub(crate) memo: Memo,
    pub(crate) store: Store,
    pub(crate) ledger: Option<Ledger>,
}

/// A running scheduler. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scheduler {
    parts: Arc<Parts>,
    open: Arc<Open>,
    placement: Placement,
    queue: Arc<Queue>,
    followers: Arc<Followers>,
    fresh: Cache<String, Prepared>,
    tasks: Tasks,
}

impl Scheduler {
    /// Starts a scheduler; it ends with `tasks`.
    pub(crate) fn start(parts: Parts, tasks: &Tasks) -> Self {
        let placement = Placement::new(parts.mesh.clone(), tasks.clone());
        let open = Open::new(
            parts.store.clone(),
            parts.mesh.me().peer,
            parts.config.max_open,
            parts.config.lease_ttl,
        );
        let scheduler = Self {
            parts: Arc::new(parts),
            open: Arc::new(open),
            placement,
            queue: Arc::default(),
            followers: Arc::default(),
            fresh: durable::fresh(),
            tasks: tasks.clone(),
        };
        let asking = scheduler.clone();
        tasks.spawn("reconcile", async move { asking.reconcile().await });
        scheduler
    }

    /// Hears one message of an executor.
    pub(crate) fn hear(&self, from: Address, message: Message) {
        match message {
            Message::Report(report) => self.placement.reported(&from.peer, report),
            Message::Heartbeat { number, leases } => self.heartbeat(from, number, leases),
            Message::Piece(piece) => self.followers.answered(&from.peer, piece),
            Message::Accept { lease } => {
                self.open
                    .tell(&from, lease, lifecycle::Event::Accepted(lease));
            }
            Message::Decline { lease, reason } => {
                self.open
                    .tell(&from, lease, lifecycle::Event::Declined(lease, reason));
            }
            Message::Result(delivery) => {
                if let Some(late) = self.open.deliver(&from, delivery) {
                    self.send(from, late);
                }
            }
            other => debug!(message.kind = other.kind(), "not for a scheduler"),
        }
    }

    /// Submits a call; the events end with its result. Dropping the receiver
    /// cancels the invocation.
    ///
    /// # Errors
    /// What is wrong with the request itself, or that too much is open.
    pub(crate) async fn submit(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<mpsc::Receiver<InvocationEvent>, Failure> {
        let place = self.open.reserve()?;
        let prepared = Prepared::make(&self.parts, request, input).await?;
        let (events, receiver) = mpsc::channel(MAX_EVENTS);
        let (mailbox, heard) = mpsc::channel(MAX_EVENTS);
        let cancel = CancellationToken::new();
        place.open(&prepared, Some(mailbox.clone()), cancel.clone());
        let driver = Driver {
            parts: Arc::clone(&self.parts),
            open: Arc::clone(&self.open),
            placement: self.placement.clone(),
            prepared,
            door: Door::Waiting(events),
            mailbox,
            cancel,
        };
        self.tasks.spawn("invocation", driver.drive(heard));
        Ok(receiver)
    }

    /// Where the call would run now, without running it.
    ///
    /// # Errors
    /// What is wrong with the request itself.
    pub(crate) async fn explain_now(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Explanation, Failure> {
        let prepared = Prepared::make(&self.parts, request, input).await?;
        let mut explanation = self.placement.find_anew(&prepared).await.explanation;
        explanation.chosen = explanation
            .candidates
            .iter()
            .find(|c| c.veto.is_none())
            .map(|c| c.peer.clone());
        Ok(explanation)
    }

    /// The record of an invocation, by its name or a prefix of it.
    ///
    /// # Errors
    /// `not_found`, or that the prefix names several.
    pub(crate) fn record(&self, name: &str) -> Result<Record, Failure> {
        self.open.record(name)
    }

    /// Open invocations, and with `all` the newest ended ones too.
    pub(crate) fn records(&self, all: bool) -> Vec<Record> {
        self.open.records(all)
    }

    /// Waits until an invocation ended, up to `wait`.
    ///
    /// # Errors
    /// `not_found`; `deadline` when it is still open then.
    pub(crate) async fn wait(&self, name: &str, wait: Duration) -> Result<Record, Failure> {
        let record = self.open.record(name)?;
        if let Some(mut ended) = self.open.over(&record.invocation) {
            let over = ended.wait_for(|is_over| *is_over);
            if tokio::time::timeout(wait, over).await.is_err() {
                let waited = kubo::format_go_duration(wait);
                return Err(Failure::new(
                    Class::Deadline,
                    "still_open",
                    format!("still open after {waited}"),
                ));
            }
        }
        self.open.record(&record.invocation)
    }

    /// Asks for the end of an invocation.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) async fn cancel(&self, name: &str) -> Result<Record, Failure> {
        let record = self.open.record(name)?;
        self.keep_cancel(&record.invocation).await?;
        self.open.cancel(&record.invocation);
        self.end_waiting(&record.invocation);
        self.wait(&record.invocation, CANCEL_WAIT).await
    }

    /// Whether so many executors fell silent at once that this node suspects
    /// itself to be cut off.
    #[must_use]
    pub fn suspects_self(&self) -> bool {
        self.open.gate().suspects_self(Instant::now())
    }

    /// Invocations without an end yet.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.count()
    }

    fn heartbeat(&self, from: Address, number: u64, leases: Vec<crate::model::Lease>) {
        let (mut known, mut cancel) = (Vec::new(), Vec::new());
        for lease in leases {
            if self.open.knows(&from, lease.lease) {
                known.push(lease.lease);
                self.open.tell(
                    &from,
                    lease.lease,
                    lifecycle::Event::Heard(lease.lease, lease.progress),
                );
            } else {
                cancel.push(lease.lease);
            }
        }
        let ack = Message::HeartbeatAck {
            number,
            known,
            cancel,
            asked: Vec::new(),
        };
        self.send(from, ack);
    }

    fn send(&self, to: Address, message: Message) {
        let mesh = self.parts.mesh.clone();
        self.tasks.spawn("send", async move {
            let kind = message.kind();
            if let Err(error) = mesh.send(&to, message).await {
                debug!(peer.id = %to, message.kind = kind, %error, "not sent");
            }
        });
    }
}

/// A fresh name for an invocation.
fn fresh_invocation() -> InvocationId {
    InvocationId::new(super::clock::unix_ms(), random())
}

/// A fresh name for a lease.
fn fresh_lease() -> LeaseId {
    LeaseId::new(super::clock::unix_ms(), random())
}

/// 128 bits from the system; an invocation must not start without them.
fn random() -> u128 {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random numbers");
    }
    u128::from_le_bytes(bytes)
}
