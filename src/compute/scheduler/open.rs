//! The invocations that are open, and the records of those that ended.
//!
//! Takes what drivers note and what executors say, gives each message to the
//! driver whose lease it is about. A table, nothing more.

use std::{collections::HashMap, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{gate::Gate, lifecycle, pace::Pace, prepare::Prepared, verify::Bindings};
use crate::{
    compute::{Explanation, Failure, Finished, Record, clock},
    kubo::format_go_duration,
    mesh::Address,
    model::{Class, Delivery, LeaseId, Message, PeerId, Verdict},
    store::{Memory, RecordRow, Store},
};

/// Ended invocations that `ps --all` shows.
const SHOWN: u32 = 200;

/// What a driver hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something for its machine.
    Event(lifecycle::Event),
    /// A result, still to be verified.
    Result(Address, Delivery),
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// With its one result.
    Succeeded(Finished),
    /// For good.
    Failed(Failure),
    /// Given up, until its operator retries or drops it.
    Dead(Failure),
}

/// The table.
#[derive(Debug)]
pub(super) struct Open {
    store: Store,
    /// The own node, whose silence is nobody's.
    me: PeerId,
    max: usize,
    inner: Mutex<Inner>,
    gate: Mutex<Gate>,
    pace: Mutex<Pace>,
    /// Whose receipts verify without another look at the node's signature.
    pub(super) bindings: Bindings,
}

#[derive(Debug, Default)]
struct Inner {
    reserved: usize,
    entries: HashMap<String, Entry>,
    leases: HashMap<LeaseId, Leased>,
}

/// A lease of an open invocation.
#[derive(Debug)]
struct Leased {
    peer: PeerId,
    mailbox: mpsc::Sender<Heard>,
    since: Instant,
    /// Its offer may be under way still: its executor did not speak of it, and
    /// the link did not break since.
    is_under_way: bool,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// Its driver's; none while it waits for its turn.
    mailbox: Option<mpsc::Sender<Heard>>,
    cancel: CancellationToken,
    over: watch::Sender<bool>,
    is_pure: bool,
}

/// The try whose standard error is worth following.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    pub(super) peer: PeerId,
    pub(super) lease: LeaseId,
    /// Every try of the call says the same.
    pub(super) is_pure: bool,
}

/// A place in the table that was promised and is given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    open: &'a Open,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.open.inner.lock();
        inner.reserved = inner.reserved.saturating_sub(1);
    }
}

impl Place<'_> {
    /// Fills the place; without a mailbox the invocation waits for its turn.
    pub(super) fn open(
        self,
        prepared: &Prepared,
        mailbox: Option<mpsc::Sender<Heard>>,
        cancel: CancellationToken,
    ) {
        let record = Record {
            invocation: prepared.invocation.to_string(),
            state: "accepted".to_owned(),
            call: prepared.call_cid.to_string(),
            function: prepared.call.function.to_string(),
            executor: None,
            attempts: 0,
            submitted: prepared.submitted_ms,
            elapsed_ms: 0,
            result: None,
            error: None,
            explanation: None,
        };
        let entry = Entry {
            record,
            mailbox,
            cancel,
            over: watch::Sender::new(false),
            is_pure: prepared.manifest.pure,
        };
        self.open
            .inner
            .lock()
            .entries
            .insert(prepared.invocation.to_string(), entry);
    }
}

impl Open {
    /// An empty table of at most `max` open invocations.
    pub(super) fn new(store: Store, me: PeerId, max: usize, ttl: Duration) -> Self {
        Self {
            store,
            me,
            max,
            inner: Mutex::default(),
            gate: Mutex::new(Gate::new(ttl)),
            bindings: Bindings::default(),
            pace: Mutex::new(Pace::new(Instant::now())),
        }
    }

    /// Promises a place, or says that there is none.
    pub(super) fn reserve(&self) -> Result<Place<'_>, Failure> {
        let mut inner = self.inner.lock();
        if inner.entries.len() + inner.reserved >= self.max {
            return Err(self.busy());
        }
        inner.reserved += 1;
        Ok(Place { open: self })
    }

    /// No place, and when there may be one.
    fn busy(&self) -> Failure {
        let wait = self.pace.lock().refused(Instant::now());
        let message = format!("{} invocations are open already", self.max);
        let again = format_go_duration(Duration::from_secs(wait.as_secs().max(1)));
        Failure::new(Class::Refused, "busy", message)
            .with_retry_after(wait)
            .with_hint(format!("try again in {again}, or raise scheduler.max_open"))
    }

    /// It is the turn of an invocation that waited; gives what tells its
    /// driver to end it. None if it is over, or has its driver already.
    pub(super) fn attach(
        &self,
        invocation: &str,
        mailbox: &mpsc::Sender<Heard>,
    ) -> Option<CancellationToken> {
        let mut inner = self.inner.lock();
        let entry = inner.entries.get_mut(invocation)?;
        if entry.mailbox.is_some() {
            return None;
        }
        entry.mailbox = Some(mailbox.clone());
        Some(entry.cancel.clone())
    }

    /// An invocation waits for its next turn.
    pub(super) fn detach(&self, invocation: &str) {
        let mut inner = self.inner.lock();
        let entry = inner.entries.get_mut(invocation);
        if let Some(mailbox) = entry.and_then(|entry| entry.mailbox.take()) {
            self.free(&mut inner, &mailbox);
        }
    }

    /// Invocations without an end.
    pub(super) fn count(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// How many leases each executor holds.
    pub(super) fn load(&self) -> HashMap<PeerId, u32> {
        let mut load = HashMap::new();
        for leased in self.inner.lock().leases.values() {
            *load.entry(leased.peer).or_default() += 1;
        }
        load
    }

    /// Notes a lease of `peer`, so that what it says reaches this driver.
    pub(super) fn lease(&self, lease: LeaseId, peer: PeerId, mailbox: mpsc::Sender<Heard>) {
        let now = Instant::now();
        let leased = Leased {
            peer,
            mailbox,
            since: now,
            is_under_way: true,
        };
        let is_new = self.inner.lock().leases.insert(lease, leased).is_none();
        if is_new && peer != self.me {
            self.gate().leased(peer, now);
        }
    }

    /// Whether `from` holds this lease of an open invocation.
    pub(super) fn knows(&self, from: &Address, lease: LeaseId) -> bool {
        self.inner
            .lock()
            .leases
            .get(&lease)
            .is_some_and(|leased| leased.peer == from.peer)
    }

    /// Gives an event to the driver of `lease`, if `from` holds it.
    pub(super) fn tell(&self, from: &Address, lease: LeaseId, event: lifecycle::Event) {
        self.pass(from, lease, Heard::Event(event));
    }

    /// Gives a result to its driver, or the answer to one that nobody awaits.
    pub(super) fn deliver(&self, from: &Address, delivery: Delivery) -> Option<Message> {
        let lease = delivery.lease;
        let passed = self.pass(from, lease, Heard::Result(from.clone(), delivery));
        (!passed).then_some(Message::ResultAck {
            lease,
            verdict: Verdict::Late,
        })
    }

    /// The machine of a driver whose mailbox is full hears of it again with
    /// the next heartbeat, or when its executor is asked.
    fn pass(&self, from: &Address, lease: LeaseId, heard: Heard) -> bool {
        self.gate().heard(&from.peer, Instant::now());
        let mut inner = self.inner.lock();
        let leased = inner.leases.get_mut(&lease);
        let Some(leased) = leased.filter(|leased| leased.peer == from.peer) else {
            return false;
        };
        leased.is_under_way = false;
        leased.mailbox.try_send(heard).is_ok() || !leased.mailbox.is_closed()
    }

    /// Leases older than `before`, by executor.
    pub(super) fn leased_before(&self, before: Instant) -> HashMap<PeerId, Vec<LeaseId>> {
        let inner = self.inner.lock();
        let old = inner.leases.iter().filter(|(_, l)| l.since < before);
        let mut by_peer: HashMap<PeerId, Vec<LeaseId>> = HashMap::new();
        for (lease, leased) in old {
            by_peer.entry(leased.peer).or_default().push(*lease);
        }
        by_peer
    }

    /// The newest try whose offer is not under way any more.
    pub(super) fn followed(&self, invocation: &str) -> Option<Followed> {
        let inner = self.inner.lock();
        let entry = inner.entries.get(invocation)?;
        let mailbox = entry.mailbox.as_ref()?;
        let is_its = |leased: &Leased| !leased.is_under_way && leased.mailbox.same_channel(mailbox);
        let leases = inner.leases.iter().filter(|(_, leased)| is_its(leased));
        let (lease, leased) = leases.max_by_key(|(_, leased)| leased.since)?;
        Some(Followed {
            peer: leased.peer,
            lease: *lease,
            is_pure: entry.is_pure,
        })
    }

    /// Leases that `peer` holds, if their offers reached it.
    pub(super) fn arrived_at(&self, peer: &Address) -> Vec<LeaseId> {
        let inner = self.inner.lock();
        let is_its = |leased: &Leased| !leased.is_under_way && leased.peer == peer.peer;
        let leases = inner.leases.iter().filter(|(_, leased)| is_its(leased));
        leases.map(|(lease, _)| *lease).collect()
    }

    /// Nothing comes over the link to `peer`: what was under way may be lost.
    pub(super) fn muted(&self, peer: &Address) {
        self.gate().broke(&peer.peer, Instant::now());
        let leases = &mut self.inner.lock().leases;
        let its = leases.values_mut().filter(|l| l.peer == peer.peer);
        its.for_each(|leased| leased.is_under_way = false);
    }

    /// Tells every driver with a lease there that the link to `peer` broke.
    pub(super) fn unlinked(&self, peer: &Address) {
        self.muted(peer);
        let inner = self.inner.lock();
        for leased in inner.leases.values().filter(|l| l.peer == peer.peer) {
            let event = lifecycle::Event::Down(peer.peer.to_string());
            let _full_ones_have_heartbeats = leased.mailbox.try_send(Heard::Event(event));
        }
    }

    /// Changes the record of an open invocation.
    pub(super) fn note(&self, invocation: &str, change: impl FnOnce(&mut Record)) {
        if let Some(entry) = self.inner.lock().entries.get_mut(invocation) {
            change(&mut entry.record);
        }
    }

    /// Notes where it may run.
    pub(super) fn explained(&self, invocation: &str, explanation: &Explanation) {
        self.note(invocation, |record| {
            record.state = "queued".to_owned();
            record.explanation = Some(explanation.clone());
        });
    }

    /// The record of an open invocation as its end makes it.
    pub(super) fn ended(&self, invocation: &str, end: &End) -> Option<Record> {
        let record = self.inner.lock().entries.get(invocation)?.record.clone();
        Some(end_record(record, end))
    }

    /// Closes an invocation, whose record is kept already.
    pub(super) fn close(&self, invocation: &str) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.entries.remove(invocation) else {
            return;
        };
        if let Some(mailbox) = &entry.mailbox {
            self.free(&mut inner, mailbox);
        }
        drop(inner);
        self.pace.lock().ended(Instant::now());
        entry.over.send_replace(true);
    }

    /// The leases of a driver that is done are nobody's any more.
    fn free(&self, inner: &mut Inner, done: &mpsc::Sender<Heard>) {
        let mut gate = self.gate();
        inner.leases.retain(|_, leased| {
            let is_done = leased.mailbox.same_channel(done);
            if is_done {
                gate.freed(&leased.peer);
            }
            !is_done
        });
    }

    /// What every further try passes.
    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock()
    }

    /// Keeps the record of an ended invocation.
    pub(super) fn persist(&self, record: &Record) {
        self.store.remember([Memory::Record(row(record))]);
    }

    /// Asks the driver for the end.
    pub(super) fn cancel(&self, invocation: &str) {
        if let Some(entry) = self.inner.lock().entries.get(invocation) {
            entry.cancel.cancel();
        }
    }

    /// Tells when an open invocation ends; none if it is not open.
    pub(super) fn over(&self, invocation: &str) -> Option<watch::Receiver<bool>> {
        self.inner
            .lock()
            .entries
            .get(invocation)
            .map(|entry| entry.over.subscribe())
    }

    /// A record by its name or a prefix of it.
    pub(super) fn record(&self, name: &str) -> Result<Record, Failure> {
        let name = name.to_uppercase();
        if let Some(entry) = self.inner.lock().entries.get(&name) {
            return Ok(aged(&entry.record));
        }
        let rows = self.store.records_like(&name).unwrap_or_default();
        let mut found: Vec<Record> = rows.iter().filter_map(of_row).collect();
        let is_whole = found.iter().any(|record| record.invocation == name);
        if !is_whole {
            let inner = self.inner.lock();
            let is_new = |id: &String| !found.iter().any(|record| record.invocation == *id);
            let open = inner
                .entries
                .iter()
                .filter(|(id, _)| id.starts_with(&name) && is_new(id));
            let open: Vec<Record> = open.map(|(_, entry)| aged(&entry.record)).collect();
            found.extend(open);
        }
        match (found.pop(), found.is_empty()) {
            (Some(record), true) if !name.is_empty() => Ok(record),
            (Some(_), _) => Err(Failure::new(
                Class::User,
                "ambiguous",
                format!("{name} names several invocations"),
            )
            .with_hint("give more of its letters")),
            (None, _) => Err(Failure::new(
                Class::User,
                "not_found",
                format!("no invocation {name} is known here"),
            )
            .with_hint("list them with: timerose ps --all")),
        }
    }

    /// Open ones, newest first, then ended ones if `all`.
    pub(super) fn records(&self, all: bool) -> Vec<Record> {
        let mut records: Vec<Record> = self
            .inner
            .lock()
            .entries
            .values()
            .map(|e| aged(&e.record))
            .collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.submitted));
        if all {
            records.extend(
                self.store
                    .records(SHOWN)
                    .unwrap_or_default()
                    .iter()
                    .filter_map(of_row),
            );
        }
        records
    }
}

fn of_row(row: &RecordRow) -> Option<Record> {
    serde_json::from_str(&row.body).ok()
}

/// An open record with its age.
fn aged(record: &Record) -> Record {
    Record {
        elapsed_ms: clock::unix_ms().saturating_sub(record.submitted),
        ..record.clone()
    }
}

/// A record as a row.
pub(super) fn row(record: &Record) -> RecordRow {
    RecordRow {
        invocation: record.invocation.clone(),
        at_ms: clock::unix_ms(),
        body: serde_json::to_string(record).unwrap_or_default(),
    }
}

fn end_record(mut record: Record, end: &End) -> Record {
    record.elapsed_ms = clock::unix_ms().saturating_sub(record.submitted);
    record.state = end.state().to_owned();
    match end {
        End::Succeeded(finished) => {
            record.executor = Some(finished.executor.clone());
            record.result = Some(finished.clone());
        }
        End::Failed(failure) | End::Dead(failure) => record.error = Some(failure.clone()),
    }
    record
}

impl End {
    /// The word in records.
    const fn state(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Dead(_) => "dead",
            Self::Failed(failure) => match failure.class {
                Class::Cancelled => "cancelled",
                Class::Deadline => "expired",
                _ => "failed",
            },
        }
    }
}
