//! The executor role: answers probes, takes leases, runs attempts.
//!
//! Takes messages of schedulers, gives messages back over the mesh; meets a
//! scheduler, its own node's included, in no other way. Runs code only for
//! whom [`Allow`] lets in.

mod alive;
mod arguments;
mod attempt;
mod beats;
mod folders;
mod journal;
mod layer;
mod layout;
pub(super) mod leases;
mod meter;
mod output;
mod parts;
mod presence;
mod private;
mod program;
mod room;
mod stage;
mod stats;
mod tail;
mod tombs;
pub(super) mod unpack;

use std::{sync::Arc, time::Duration};

use cid::Cid;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use self::parts::Config;
use self::{
    beats::Beats,
    leases::{Leases, Offered},
    meter::Meter,
    room::Room,
};
pub(crate) use self::{journal::Journal, parts::Parts, presence::claimed_bytes};
use super::{allow::Allow, clock};
use crate::{
    crash::{self, Point},
    mesh::Address,
    model::{
        Advert, Assignment, CandidateReport, Delivery, LeaseId, Message, Presence, Probe, Roles,
    },
    sandbox::Sandbox as _,
    task::Tasks,
};

/// How long an acceptance waits for a result that makes it needless.
const ACCEPT_DELAY: Duration = Duration::from_millis(5);
/// Functions named in an advert.
const WARM_FUNCTIONS: usize = 32;

/// A running executor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Executor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    tasks: Tasks,
    room: Room,
    leases: Mutex<Leases>,
    allow: RwLock<Allow>,
    beats: Mutex<Beats>,
}

impl Executor {
    /// Starts an executor; it ends with `tasks`.
    pub(crate) fn start(parts: Parts, allow: Allow, tasks: &Tasks) -> Self {
        let room = Room::new(parts.config.slots, parts.config.max_memory_bytes);
        let inner = Inner {
            parts,
            tasks: tasks.clone(),
            room,
            leases: Mutex::default(),
            allow: RwLock::new(allow),
            beats: Mutex::new(Beats::new(Instant::now())),
        };
        let executor = Self {
            inner: Arc::new(inner),
        };
        let beating = executor.clone();
        tasks.spawn("heartbeats", async move { beating.beat().await });
        executor.take_up();
        executor
    }

    /// Hears one message; long work goes on beside.
    pub(crate) fn hear(&self, from: Address, message: Message) {
        match message {
            Message::Probe(probe) => {
                self.beside("probe", move |e| async move { e.report(from, probe).await });
            }
            Message::Offer(offer) => self.offered(from, *offer),
            Message::Follow(asked) => {
                self.beside(
                    "follow",
                    move |e| async move { e.tell_more(from, asked).await },
                );
            }
            Message::HeartbeatAck {
                number,
                known,
                cancel,
                asked,
            } => {
                self.acknowledged(&from, number, &known, &cancel);
                self.asked(&from, &asked);
            }
            Message::ResultAck { lease, .. } | Message::Cancel { lease } => {
                self.closed(&from, lease);
            }
            other => debug!(message.kind = other.kind(), "not for an executor"),
        }
    }

    /// A link came up: results that nobody acknowledged go out again.
    pub(crate) fn linked(&self) {
        let waiting = self.with_leases(|leases| leases.undelivered());
        for (owner, delivery) in waiting {
            self.send(owner, Message::Result(delivery));
        }
    }

    /// Replaces the rules of who may run code here.
    pub(crate) fn set_allow(&self, allow: Allow) {
        *self.inner.allow.write() = allow;
    }

    /// What to say to the mesh: nothing while only this node may run code.
    pub(crate) fn advert(&self, period: Duration) -> Option<Advert> {
        let is_open = self.inner.allow.read().is_open(clock::unix_s());
        is_open.then(|| self.offers(period))
    }

    /// What this node offers to those it lets in.
    #[must_use]
    pub fn offers(&self, period: Duration) -> Advert {
        let parts = &self.inner.parts;
        Advert {
            boot: parts.identity.boot(),
            roles: Roles {
                executor: true,
                scheduler: true,
            },
            runtimes: parts.sandboxes.offers(),
            slots: parts.config.slots,
            free: self.free(),
            warm: parts.stats.warm(WARM_FUNCTIONS),
            labels: parts.config.labels.clone(),
            addresses: parts.mesh.own_addresses(),
            agent: concat!("timerose/", env!("CARGO_PKG_VERSION")).to_owned(),
            period_ms: u64::try_from(period.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Leases without a result yet.
    #[must_use]
    pub fn running(&self) -> usize {
        self.with_leases(|leases| leases.running())
    }

    /// Runs of code begun here since the start, whatever became of them.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.inner.parts.stats.begun()
    }

    fn free(&self) -> u32 {
        self.inner.room.free()
    }

    fn queued(&self) -> u32 {
        let running = u32::try_from(self.running()).unwrap_or(u32::MAX);
        running.saturating_sub(
            self.inner.parts.config.slots - self.free().min(self.inner.parts.config.slots),
        )
    }

    async fn report(&self, from: Address, probe: Probe) {
        let parts = &self.inner.parts;
        let input = match &probe.input {
            Some(root) => self.presence(root).await,
            None => None,
        };
        let has_code = self.has_code(&probe).await;
        let run_time = parts.stats.run_time(&probe.function);
        let report = CandidateReport {
            id: probe.id,
            veto: self
                .veto(&from)
                .or_else(|| parts.sandboxes.lacks(&probe.runtime)),
            slots: parts.config.slots,
            free: self.free(),
            queued: self.queued(),
            run_ms: run_time.and_then(|t| u64::try_from(t.as_millis()).ok()),
            has_code,
            is_warm: run_time.is_some(),
            fetch_bytes_per_s: parts.stats.fetch_bytes_per_s(),
            input,
        };
        self.send(from, Message::Report(report));
    }

    /// Whether code or image need not be fetched. Waits until it is known
    /// whether there is an engine at all.
    async fn has_code(&self, probe: &Probe) -> bool {
        let parts = &self.inner.parts;
        let docker = parts.sandboxes.docker();
        let sandbox = probe.runtime.split('/').next().unwrap_or_default();
        if sandbox != "wasm" {
            docker.settled().await;
        }
        if sandbox == docker.runtime() || probe.runtime == "lambda/image" {
            return docker
                .image(&probe.code)
                .await
                .is_ok_and(|name| name.is_some());
        }
        let code = parts.config.cache_dir.join(probe.code.to_string());
        tokio::fs::try_exists(&code).await.unwrap_or(false)
    }

    async fn presence(&self, root: &Cid) -> Option<Presence> {
        let parts = &self.inner.parts;
        if let Some(known) = parts.presences.get(root) {
            return Some(known);
        }
        let presence = presence::look(&parts.kubo, root).await.ok()?;
        if presence.is_complete {
            parts.presences.insert(*root, presence);
        }
        Some(presence)
    }

    /// Why this node would not run code for `from`.
    fn veto(&self, from: &Address) -> Option<String> {
        if let Err(why) = self.inner.allow.read().check(&from.peer, clock::unix_s()) {
            return Some(why);
        }
        (self.queued() >= self.inner.parts.config.max_queued).then(|| "is full".to_owned())
    }

    fn offered(&self, from: Address, offer: Assignment) {
        let (lease, ttl) = (offer.lease, Duration::from_millis(offer.ttl_ms));
        let offered = self
            .with_leases(|leases| leases.offered(lease, &from, ttl, offer.durable, Instant::now()));
        match offered {
            Offered::New(cancel, meter) => self.decide(from, offer, cancel, meter),
            Offered::Held => self.send(from, Message::Accept { lease }),
            Offered::Done(delivery) => self.send(from, Message::Result(*delivery)),
            Offered::Buried => {
                self.send(
                    from,
                    Message::Decline {
                        lease,
                        reason: "was cancelled".to_owned(),
                    },
                );
            }
        }
    }

    /// Accepts or declines a new lease. The runtime was vetted by the probe,
    /// and is again where the manifest is read.
    fn decide(
        &self,
        from: Address,
        offer: Assignment,
        cancel: CancellationToken,
        meter: Arc<Meter>,
    ) {
        let lease = offer.lease;
        let veto = self.veto(&from);
        if let Some(reason) = veto.or_else(|| self.inner.room.refusal(offer.limits.memory_bytes)) {
            self.with_leases(|leases| leases.declined(lease));
            return self.send(from, Message::Decline { lease, reason });
        }
        self.beside("attempt", move |e| async move {
            if offer.durable && !e.journalled(lease, &from, None).await {
                e.with_leases(|leases| leases.declined(lease));
                let reason = "cannot keep a journal".to_owned();
                return e.send(from, Message::Decline { lease, reason });
            }
            crash::at(Point::LeaseJournalled);
            if offer.durable && cancel.is_cancelled() {
                // It was ended, and forgotten, before it stood in the journal.
                return e.settle(lease);
            }
            let attempt = e.attempt(from.clone(), offer, cancel, meter);
            tokio::pin!(attempt);
            // A result that comes at once says that the lease was taken.
            if tokio::time::timeout(ACCEPT_DELAY, &mut attempt)
                .await
                .is_err()
            {
                e.send(from, Message::Accept { lease });
                attempt.await;
            }
        });
    }

    async fn journalled(&self, lease: LeaseId, owner: &Address, done: Option<&Delivery>) -> bool {
        match &self.inner.parts.journal {
            Some(journal) => journal.note(lease, owner, done).await,
            None => false,
        }
    }

    fn closed(&self, owner: &Address, lease: LeaseId) {
        let now = Instant::now();
        if self.with_leases(|leases| leases.closed(owner, lease, now)) {
            self.settle(lease);
        }
    }

    async fn attempt(
        &self,
        from: Address,
        offer: Assignment,
        cancel: CancellationToken,
        meter: Arc<Meter>,
    ) {
        let (lease, is_durable) = (offer.lease, offer.durable);
        let deadline = Duration::from_millis(offer.remaining_ms);
        let room = self.inner.room.enter(offer.limits.memory_bytes);
        let Some(Ok(place)) = cancel.run_until_cancelled(room).await else {
            return;
        };
        let attempted = match self.remembered(&offer).await {
            Some(delivery) => Some((delivery, None)),
            None => {
                let run = attempt::run(
                    &self.inner.parts,
                    offer,
                    from.peer.to_string(),
                    meter,
                    cancel.clone(),
                );
                let ran = tokio::time::timeout(deadline, run).await;
                ran.unwrap_or(None)
                    .map(|(delivery, work)| (delivery, Some(work)))
            }
        };
        drop(place);
        let Some((delivery, work)) = attempted else {
            return self.closed(&from, lease);
        };
        if is_durable {
            self.journalled(lease, &from, Some(&delivery)).await;
            crash::at(Point::ReceiptJournalled);
        }
        match self.with_leases(|leases| leases.finished(lease, delivery.clone())) {
            Some(owner) => self.send(owner, Message::Result(delivery)),
            None if is_durable => self.settle(lease),
            None => {}
        }
        if let Some(folder) = work.flatten() {
            // The result goes first: whoever sends it runs on this thread next.
            tokio::task::yield_now().await;
            folder.leave();
        }
    }

    /// A receipt of the same call, where the owner takes one.
    async fn remembered(&self, offer: &Assignment) -> Option<Delivery> {
        if !offer.memo {
            return None;
        }
        let known = self.inner.parts.memo.recall(&offer.call).await?;
        Some(Delivery {
            lease: offer.lease,
            receipt: known.receipt,
            blocks: known.blocks,
            sources: self.inner.parts.mesh.own_addresses(),
        })
    }

    fn send(&self, to: Address, message: Message) {
        let message = match self.inner.parts.mesh.post(&to, message) {
            Ok(None) => return,
            Ok(Some(message)) => message,
            Err(error) => return debug!(peer.id = %to, %error, "not sent"),
        };
        self.beside("send", move |e| async move {
            let kind = message.kind();
            if let Err(error) = e.inner.parts.mesh.send(&to, message).await {
                debug!(peer.id = %to, message.kind = kind, %error, "not sent");
            }
        });
    }

    fn beside<F, Fut>(&self, name: &'static str, work: F)
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.inner.tasks.spawn(name, work(self.clone()));
    }

    fn with_leases<T>(&self, act: impl FnOnce(&mut Leases) -> T) -> T {
        act(&mut self.inner.leases.lock())
    }
}
