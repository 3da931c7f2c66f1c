//! Durable invocations: submitted to stay, resumed, given up, taken up again.
//!
//! Takes requests that nobody waits for, answers once they are on disk. The
//! rows are the truth: a start of this node drives every open one on.

use std::sync::Arc;

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    MAX_EVENTS, Scheduler,
    drive::{Door, Driven, Driver},
    kept::kept,
    lifecycle::Kept,
    open::{Heard, Open, Place},
    prepare::{Parcel, Prepared},
    queue::Queue,
    search::pause,
};
use crate::{
    compute::{ByteStream, Failure, InvokeRequest, Record, function::of_store},
    crash::{self, Point},
    model::Class,
    store::{InvocationRow, Key, Ledger, Store, Submitted},
    wire::dagcbor,
};

/// Durable invocations that are driven at once; all others wait on disk.
const MAX_DRIVEN: usize = 128;
/// Bytes of submissions that are not read back from disk for their first turn.
const MAX_FRESH_BYTES: u64 = 4 << 20;
/// Of one of them, beside its blocks.
const PREPARED_BYTES: usize = 4 << 10;

impl Scheduler {
    /// Submits a call that outlives its caller and this process; gives its
    /// record once it is on disk. The same key gives the same invocation.
    ///
    /// # Errors
    /// What is wrong with the request itself, `conflict` when the key stands
    /// for another one, or that too much is open.
    pub(crate) async fn submit_durable(
        &self,
        mut request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Record, Failure> {
        self.ledger()?;
        drop(self.open.reserve()?);
        let key = request.key.take();
        let prepared = Prepared::make(&self.parts, request, input).await?;
        let key = key.map(|key| self::key(key, &prepared)).transpose()?;
        // Whoever asks may go away meanwhile: what is kept is driven all the same.
        let (tell, told) = oneshot::channel();
        let scheduler = self.clone();
        self.tasks.spawn("submission", async move {
            let _nobody_asks = tell.send(scheduler.keep(prepared, key).await);
        });
        told.await
            .unwrap_or_else(|_| Err(Failure::new(Class::Lost, "lost", "the node goes down")))
    }

    /// Puts it on disk. It is listed before that, so that whoever is told of it
    /// by its key finds it.
    async fn keep(&self, prepared: Prepared, key: Option<Key>) -> Result<Record, Failure> {
        let place = self.open.reserve()?;
        let id = prepared.invocation.to_string();
        let row = InvocationRow {
            id: id.clone(),
            body: dagcbor::encode(&Parcel::of(&prepared)).map_err(|e| bad(&e.to_string()))?,
            at_ms: prepared.submitted_ms,
            is_cancelled: false,
            is_dead: false,
        };
        place.open(&prepared, None, CancellationToken::new());
        let submitted = self.ledger()?.submit(row, key).await;
        if !matches!(submitted, Ok(Submitted::New)) {
            self.open.close(&id);
        }
        match submitted.map_err(|e| of_store(&e))? {
            Submitted::New => {
                crash::at(Point::SubmissionKept);
                self.fresh.insert(id.clone(), prepared);
                self.queue.push(&id, Instant::now(), 0);
                self.open.record(&id)
            }
            Submitted::Known(known) => self.open.record(&known),
            Submitted::Conflict(known) => Err(Failure::new(
                Class::Refused,
                "conflict",
                format!("the key stands for another request: invocation {known}"),
            )
            .with_hint("give this request a key of its own")),
        }
    }

    /// Takes up what an earlier start of this node left open, and drives from
    /// now on whatever is due.
    pub(crate) fn resume(&self) {
        if self.parts.ledger.is_none() {
            return;
        }
        let rows = self.parts.store.open_invocations();
        let attempted = self.parts.store.attempted();
        let (Ok(rows), Ok(attempted)) = (rows, attempted) else {
            return warn!("open invocations cannot be read");
        };
        let open = rows.iter().filter(|row| !row.is_dead);
        let resumed = open.filter(|row| self.take_up(row)).count();
        if resumed > 0 {
            info!(invocations = resumed, "open invocations go on");
        }
        // Their executors speak of them as soon as there is a link.
        for id in attempted {
            if let Some(turn) = self.turn(&id) {
                self.tasks.spawn("invocation", turn.driven(id, 0));
            }
        }
        let scheduler = self.clone();
        self.tasks
            .spawn("queue", async move { scheduler.dispatch().await });
    }

    /// Drives what is due, so many at a time, for ever.
    async fn dispatch(&self) {
        let places = Arc::new(Semaphore::new(MAX_DRIVEN));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let (id, searches) = self.queue.next().await;
            let scheduler = self.clone();
            self.tasks.spawn("invocation", async move {
                if let Some(turn) = scheduler.turn(&id) {
                    turn.driven(id, searches).await;
                }
                drop(place);
            });
        }
    }

    /// Invocations that were given up, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn dead(&self) -> Result<Vec<Record>, Failure> {
        let rows = self.parts.store.open_invocations();
        let rows = rows.map_err(|e| of_store(&e))?;
        let dead = rows.iter().filter(|row| row.is_dead);
        Ok(dead
            .filter_map(|row| self.open.record(&row.id).ok())
            .collect())
    }

    /// Gives a dead invocation as many tries again, with its time anew.
    ///
    /// # Errors
    /// `not_found`, or that too much is open.
    pub(crate) async fn retry_dead(&self, name: &str) -> Result<Record, Failure> {
        let record = self.dead_one(name)?;
        let rows = self.parts.store.open_invocations();
        let rows = rows.map_err(|e| of_store(&e))?;
        let row = rows.into_iter().find(|row| row.id == record.invocation);
        let row = row.ok_or_else(|| not_dead(&record.invocation))?;
        let body = Parcel::anew(&row.body).map_err(|e| bad(&e.to_string()))?;
        self.unbury(&record.invocation, Some(body.clone())).await?;
        self.take_up(&InvocationRow { body, ..row });
        self.open.record(&record.invocation)
    }

    /// Forgets a dead invocation; its record stays as long as others do.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) async fn drop_dead(&self, name: &str) -> Result<Record, Failure> {
        let record = self.dead_one(name)?;
        self.unbury(&record.invocation, None).await?;
        Ok(record)
    }

    /// Makes a wish for the end as durable as the invocation is.
    pub(super) async fn keep_cancel(&self, invocation: &str) -> Result<(), Failure> {
        let Some(ledger) = &self.parts.ledger else {
            return Ok(());
        };
        let kept = ledger.cancel(invocation.to_owned()).await;
        kept.map_err(|e| of_store(&e))
    }

    /// What waits for its turn and is to end gets one at once, whoever is
    /// before it.
    pub(super) fn end_waiting(&self, invocation: &str) {
        if !self.queue.remove(invocation) {
            return;
        }
        let (scheduler, id) = (self.clone(), invocation.to_owned());
        self.tasks.spawn("invocation", async move {
            if let Some(turn) = scheduler.turn(&id) {
                turn.driven(id, 0).await;
            }
        });
    }

    async fn unbury(&self, invocation: &str, body: Option<Vec<u8>>) -> Result<(), Failure> {
        let unburied = self.ledger()?.unbury(invocation.to_owned(), body).await;
        match unburied.map_err(|e| of_store(&e))? {
            true => Ok(()),
            false => Err(not_dead(invocation)),
        }
    }

    fn dead_one(&self, name: &str) -> Result<Record, Failure> {
        let record = self.open.record(name)?;
        match record.state.as_str() {
            "dead" => Ok(record),
            _ => Err(not_dead(&record.invocation)),
        }
    }

    fn ledger(&self) -> Result<&Ledger, Failure> {
        self.parts.ledger.as_ref().ok_or_else(|| {
            Failure::new(
                Class::Refused,
                "not_durable",
                "nothing here outlives the command",
            )
            .with_hint("start the node: timerose daemon")
        })
    }

    /// Lets a kept row wait for its turn; false where it cannot be read or
    /// there is no room.
    fn take_up(&self, row: &InvocationRow) -> bool {
        let (Ok(place), Some(prepared)) = (self.open.reserve(), Parcel::opened(&row.body)) else {
            warn!(invocation.id = row.id, "an open invocation cannot go on");
            return false;
        };
        self.wait_for_its_turn(place, &prepared, row.is_cancelled);
        true
    }

    fn wait_for_its_turn(&self, place: Place<'_>, prepared: &Prepared, is_cancelled: bool) {
        let cancel = CancellationToken::new();
        if is_cancelled {
            cancel.cancel();
        }
        place.open(prepared, None, cancel);
        let id = prepared.invocation.to_string();
        self.queue.push(&id, Instant::now(), 0);
    }

    /// What a turn of an open invocation takes.
    fn turn(&self, id: &str) -> Option<Turn> {
        let (prepared, tried) = match self.fresh.remove(id) {
            Some(prepared) => (prepared, Vec::new()),
            None => of_rows(&self.parts.store, id)?,
        };
        let (mailbox, heard) = mpsc::channel(MAX_EVENTS);
        let cancel = self.open.attach(id, &mailbox)?;
        let _too_large_ones_are_in_kubo =
            self.parts.content.remember(prepared.blocks.iter().cloned());
        for held in tried.iter().filter(|held| held.is_open) {
            if let Ok(peer) = held.executor.parse() {
                self.open.lease(held.lease, peer, mailbox.clone());
            }
        }
        let driver = Driver {
            parts: Arc::clone(&self.parts),
            open: Arc::clone(&self.open),
            placement: self.placement.clone(),
            prepared,
            door: Door::Durable(self.parts.ledger.clone()?),
            mailbox,
            cancel,
        };
        Some(Turn {
            driver,
            tried,
            heard,
            open: Arc::clone(&self.open),
            queue: Arc::clone(&self.queue),
        })
    }
}

/// Submissions that are still in hand when their first turn comes; what does
/// not fit is read back from disk.
pub(super) fn fresh() -> Cache<String, Prepared> {
    let weigh = |_: &String, prepared: &Prepared| {
        let bytes: usize = prepared.blocks.iter().map(|block| block.data.len()).sum();
        u32::try_from(bytes + PREPARED_BYTES).unwrap_or(u32::MAX)
    };
    Cache::builder()
        .max_capacity(MAX_FRESH_BYTES)
        .weigher(weigh)
        .build()
}

/// An open invocation and what was tried of it, from their rows.
fn of_rows(store: &Store, id: &str) -> Option<(Prepared, Vec<Kept>)> {
    let row = store.open_invocation(id).ok()??;
    let prepared = Parcel::opened(&row.body)?;
    let attempts = store.attempts(id).ok()?;
    Some((prepared, attempts.into_iter().filter_map(kept).collect()))
}

/// One turn of one durable invocation.
struct Turn {
    driver: Driver,
    tried: Vec<Kept>,
    heard: mpsc::Receiver<Heard>,
    open: Arc<Open>,
    queue: Arc<Queue>,
}

impl Turn {
    /// Drives it; what finds no executor waits for another turn.
    async fn driven(self, id: String, searches: u32) {
        let (deadline, cancel) = (self.driver.prepared.deadline(), self.driver.cancel.clone());
        let driven = self.driver.drive_on(self.tried, self.heard).await;
        if driven == Driven::Parked {
            self.open.detach(&id);
            let due = (Instant::now() + pause(searches)).min(deadline);
            self.queue.push(&id, due, searches.saturating_add(1));
            if cancel.is_cancelled() {
                // It came too late to be taken out of the line.
                self.queue.push(&id, Instant::now(), searches);
            }
        }
    }
}

/// The same was asked for if all is equal: of the input, what it is, however
/// it came.
fn key(key: String, prepared: &Prepared) -> Result<Key, Failure> {
    let request = InvokeRequest {
        function: prepared.call.function.to_string(),
        input: prepared
            .plain_input
            .or(prepared.call.input)
            .map(|cid| cid.to_string()),
        ..prepared.request.clone()
    };
    let body = dagcbor::encode(&request).map_err(|e| bad(&e.to_string()))?;
    Ok(Key {
        key,
        digest: Sha256::digest(body).to_vec(),
    })
}

fn bad(reason: &str) -> Failure {
    Failure::new(
        Class::User,
        "bad_request",
        format!("it cannot be kept: {reason}"),
    )
}

fn not_dead(invocation: &str) -> Failure {
    Failure::new(
        Class::User,
        "not_found",
        format!("the invocation {invocation} was not given up"),
    )
    .with_hint("list those that were with: timerose dead ls")
}
