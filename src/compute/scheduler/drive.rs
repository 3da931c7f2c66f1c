//! Drives one invocation from its call to its end.
//!
//! Takes a prepared call and what its executors say, gives events to the door.
//! Wait, decide (`lifecycle`), act: the only place of the scheduler that does
//! something to the outside.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::OptionFuture};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    Parts,
    ends::cancelled,
    fresh_lease,
    lifecycle::{Action, Bounds, Event, Kept, Lifecycle},
    nobody::willing,
    open::{End, Heard, Open},
    placement::{Found, Placement},
    prepare::Prepared,
    verify::{self, Verified},
};
use crate::{
    compute::{Failure, Finished, InvocationEvent, forwarded::explained},
    crash::{self, Point},
    mesh::Address,
    model::{Assignment, Delivery, LeaseId, Message, PeerId},
    store::Ledger,
};

/// How long an offer may stay unanswered.
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);
/// Heartbeats per ttl, and how many may be missing before a pure call is
/// tried elsewhere as well.
const HEARTBEATS_PER_TTL: u32 = 4;
/// The share of a ttl that a heartbeat may be late.
const LATE: u32 = 25;

/// One invocation under way.
pub(super) struct Driver {
    pub(super) parts: Arc<Parts>,
    pub(super) open: Arc<Open>,
    pub(super) placement: Placement,
    pub(super) prepared: Prepared,
    pub(super) door: Door,
    pub(super) mailbox: mpsc::Sender<Heard>,
    pub(super) cancel: CancellationToken,
}

/// Who hears of an invocation, and what it survives.
#[derive(Debug)]
pub(super) enum Door {
    /// Held: the caller waits, and the end of its patience cancels.
    Waiting(mpsc::Sender<InvocationEvent>),
    /// Durable: every step is kept before it is told to anyone.
    Durable(Ledger),
}

/// How far an invocation was driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driven {
    /// To its end.
    Over,
    /// Until nobody was found to run it now.
    Parked,
}

/// What is known once candidates were found.
pub(super) struct Course {
    life: Lifecycle,
    pub(super) found: Found,
    pub(super) results: HashMap<LeaseId, (Verified, Delivery)>,
    receipt_of_failure: Option<(String, String)>,
}

impl Driver {
    /// Runs a held invocation to its end.
    pub(super) async fn drive(self, heard: mpsc::Receiver<Heard>) {
        let invocation = self.prepared.invocation.to_string();
        let call = self.prepared.call_cid.to_string();
        self.say(InvocationEvent::Accepted {
            invocation: invocation.clone(),
            call,
        })
        .await;
        if let Some(finished) = self.remembered().await {
            return self.finish(Ok(finished), None).await;
        }
        self.say(InvocationEvent::Finding).await;
        let load = self.open.load();
        let found = tokio::select! {
            found = self.placement.find(&self.prepared, &load) => found,
            () = self.cancel.cancelled() => return self.finish(Err(cancelled()), None).await,
            () = self.door.closed() => return self.finish(Err(cancelled()), None).await,
        };
        self.open.explained(&invocation, &found.explanation);
        let willing: Vec<String> = willing(&found);
        if willing.is_empty() {
            let failure = self.nobody(&found);
            return self.finish(Err(failure), None).await;
        }
        let life = Lifecycle::new(self.bounds(), Instant::now());
        let life = if found.is_recent {
            life.doubting()
        } else {
            life
        };
        let course = Course::new(life, found);
        self.run(course, Vec::new(), Event::Ranked(willing), heard)
            .await;
    }

    /// Runs a durable invocation to its end, or until it has to wait for
    /// executors; `kept` is what was tried before.
    pub(super) async fn drive_on(self, kept: Vec<Kept>, heard: mpsc::Receiver<Heard>) -> Driven {
        if kept.is_empty() {
            let remembered = self.cancel.run_until_cancelled(self.remembered()).await;
            if let Some(finished) = remembered.flatten() {
                self.finish(Ok(finished), None).await;
                return Driven::Over;
            }
        }
        let (life, offers) = Lifecycle::resumed(self.bounds(), kept, Instant::now());
        let course = Course::new(life, Found::default());
        // What is to end is not offered once more before.
        let (offers, event) = match self.cancel.is_cancelled() {
            true => (Vec::new(), Event::Cancel),
            false => (offers, Event::Tick),
        };
        self.run(course, offers, event, heard).await
    }

    async fn run(
        &self,
        mut course: Course,
        mut actions: Vec<Action>,
        mut event: Event,
        mut heard: mpsc::Receiver<Heard>,
    ) -> Driven {
        let mut is_leaving = false;
        let mut finding = OptionFuture::default();
        loop {
            actions.extend(self.decide(&mut course, event));
            let mut is_over = false;
            for action in actions.drain(..) {
                match action {
                    Action::Find => {
                        if course.life.attempts() > 0 {
                            self.placement.forget(&self.prepared);
                        }
                        finding = Some(self.find().boxed()).into();
                    }
                    Action::Finish(end) => {
                        self.end(&mut course, end).await;
                        is_over = true;
                        // Whoever waits for it comes first.
                        tokio::task::yield_now().await;
                    }
                    other => self.act(&mut course, other).await,
                }
            }
            if is_over {
                return Driven::Over;
            }
            event = tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !is_leaving => { is_leaving = true; Event::Cancel }
                () = self.door.closed(), if !is_leaving => { is_leaving = true; Event::Cancel }
                Some(heard) = heard.recv() => self.weigh(&mut course, heard),
                Some(found) = &mut finding => {
                    finding = OptionFuture::default();
                    let willing = willing(&found);
                    if willing.is_empty() && course.life.is_idle() {
                        return self.park(&found).await;
                    }
                    course.found = found;
                    Event::Ranked(willing)
                }
                () = tokio::time::sleep_until(course.life.next_tick()) => Event::Tick,
            };
        }
    }

    /// The machine's decision; what may be silence of all is told to the gate.
    fn decide(&self, course: &mut Course, event: Event) -> Vec<Action> {
        let is_silence = matches!(event, Event::Down(_) | Event::Tick);
        let probe = is_silence.then(|| self.parts.mesh.health().is_probe_back);
        let fresh = fresh_lease();
        let mut gate = self.open.gate();
        if let Some(is_back) = probe {
            gate.probed(is_back);
        }
        course.life.handle(event, Instant::now(), fresh, &mut gate)
    }

    /// Looks for executors once more.
    async fn find(&self) -> Found {
        let load = self.open.load();
        let found = self.placement.find_in_turn(&self.prepared, &load).await;
        let invocation = self.prepared.invocation.to_string();
        self.open.explained(&invocation, &found.explanation);
        found
    }

    async fn end(&self, course: &mut Course, end: Result<LeaseId, Failure>) {
        let end = match end {
            Ok(lease) => {
                let accepted = self.accept(course, lease);
                // It counts once it is on disk: until then a wish for the end wins.
                let accepted = self.cancel.run_until_cancelled(accepted).await;
                accepted.unwrap_or_else(|| Err(cancelled()))
            }
            Err(failure) => Err(failure),
        };
        self.finish(end, course.receipt_of_failure.take()).await;
    }

    /// Turns what was heard into an event; results are verified here.
    fn weigh(&self, course: &mut Course, heard: Heard) -> Event {
        let (from, delivery) = match heard {
            Heard::Event(event) => {
                if let Event::Declined(..) = event {
                    self.placement.forget(&self.prepared);
                }
                return event;
            }
            Heard::Result(from, delivery) => (from, delivery),
        };
        let lease = delivery.lease;
        let bindings = &self.open.bindings;
        match verify::verify(&delivery, &from.peer, lease, &self.prepared, bindings) {
            Err(why) => {
                info!(peer.id = %from, %why, "a receipt was refused");
                Event::Forged(lease, why)
            }
            Ok(verified) => {
                let outcome = verify::outcome(&verified.receipt);
                let executor = &verified.receipt.executor;
                let outcome = outcome.map_err(|f| explained(f, executor, &self.parts.mesh));
                if outcome.is_err() {
                    course.receipt_of_failure = Some(self.learn_failure(&verified, &delivery));
                }
                course.results.insert(lease, (verified, delivery));
                Event::Result(lease, outcome)
            }
        }
    }

    async fn act(&self, course: &mut Course, action: Action) {
        match action {
            Action::Offer {
                executor,
                lease,
                attempt,
                fence,
            } => {
                self.offer(course, &executor, lease, attempt, fence).await;
            }
            Action::Placed { executor, attempt } => self.placed(course, executor, attempt).await,
            Action::Report(progress) => {
                let (phase, input_bytes) = (progress.phase, progress.input_bytes);
                self.say(InvocationEvent::Progress { phase, input_bytes })
                    .await;
            }
            Action::Lost {
                executor,
                lease,
                attempt,
                reason,
            } => {
                debug!(peer.id = executor, reason, "an attempt came to nothing");
                self.keep_attempt(&executor, lease, attempt, false).await;
                self.say(InvocationEvent::Retry { executor, reason }).await;
            }
            Action::Revoke { executor, lease } => {
                self.send(&executor, Message::Cancel { lease }).await;
            }
            Action::Acknowledge {
                executor,
                lease,
                verdict,
            } => {
                self.send(&executor, Message::ResultAck { lease, verdict })
                    .await;
            }
            Action::Find | Action::Finish(_) => {}
        }
    }

    async fn offer(
        &self,
        course: &Course,
        executor: &str,
        lease: LeaseId,
        attempt: u32,
        fence: u64,
    ) {
        let Ok(peer) = executor.parse() else { return };
        self.open.lease(lease, peer, self.mailbox.clone());
        self.keep_attempt(executor, lease, attempt, true).await;
        self.open
            .note(&self.prepared.invocation.to_string(), |record| {
                record.attempts = attempt;
                record.executor = Some(executor.to_owned());
            });
        let now = Instant::now();
        let remaining = self.prepared.deadline().duration_since(now);
        let sources = self
            .parts
            .mesh
            .own_addresses()
            .into_iter()
            .take(4)
            .chain(course.found.sources.iter().cloned());
        let assignment = Assignment {
            invocation: self.prepared.invocation,
            call: self.prepared.call_cid,
            replica: 0,
            attempt,
            lease,
            fence,
            ttl_ms: millis(self.parts.config.lease_ttl),
            remaining_ms: millis(remaining),
            fetch_ms: millis(self.prepared.fetch_left(now)),
            limits: self.prepared.limits,
            memo: self.prepared.request.cache && self.prepared.manifest.pure,
            durable: matches!(self.door, Door::Durable(_)),
            sources: sources.take(16).collect(),
            blocks: self.prepared.blocks.clone(),
            private: self.prepared.private.clone(),
        };
        self.send(executor, Message::Offer(Box::new(assignment)))
            .await;
    }

    async fn placed(&self, course: &mut Course, executor: String, attempt: u32) {
        let candidates = &course.found.explanation.candidates;
        let predicted_ms = candidates
            .iter()
            .find(|c| c.peer == executor)
            .map_or(0, |c| c.predicted_ms);
        self.open
            .note(&self.prepared.invocation.to_string(), |record| {
                record.state = "active".to_owned();
                if let Some(explanation) = &mut record.explanation {
                    explanation.chosen = Some(executor.clone());
                }
            });
        self.say(InvocationEvent::Placed {
            executor,
            attempt,
            predicted_ms,
        })
        .await;
    }

    /// A verified receipt of a failure is kept too: it proves who said so.
    /// Gives the receipt's CID and its executor.
    fn learn_failure(&self, verified: &Verified, delivery: &Delivery) -> (String, String) {
        let (receipt, blocks) = (&verified.receipt, delivery.blocks.clone());
        let cid = self
            .parts
            .memo
            .learn(&delivery.receipt, receipt, blocks, false);
        (cid.to_string(), receipt.executor.clone())
    }

    fn bounds(&self) -> Bounds {
        let ttl = self.parts.config.lease_ttl;
        Bounds {
            max_attempts: self.parts.config.max_attempts,
            lease_ttl: ttl,
            suspect_after: ttl / HEARTBEATS_PER_TTL * 2 + ttl / LATE,
            offer_timeout: OFFER_TIMEOUT,
            deadline: self.prepared.deadline(),
            is_pure: self.prepared.manifest.pure,
            may_repeat: self.prepared.manifest.may_repeat,
            is_durable: matches!(self.door, Door::Durable(_)),
        }
    }

    async fn send(&self, executor: &str, message: Message) {
        let Ok(peer) = executor.parse::<PeerId>() else {
            return;
        };
        let kind = message.kind();
        if let Err(error) = self.parts.mesh.send(&Address::from(peer), message).await {
            debug!(peer.id = executor, message.kind = kind, %error, "not sent");
        }
    }

    /// Tells the door; one that left is noticed by the loop.
    async fn say(&self, event: InvocationEvent) {
        if let Door::Waiting(events) = &self.door {
            let _door_left = events.send(event).await;
        }
    }

    pub(super) async fn finish(
        &self,
        end: Result<Finished, Failure>,
        receipt: Option<(String, String)>,
    ) {
        let invocation = self.prepared.invocation.to_string();
        let end = self.meaning(end);
        let Some(record) = self.open.ended(&invocation, &end) else {
            return;
        };
        self.keep_end(&record, &end).await;
        crash::at(Point::ResultAccepted);
        self.open.close(&invocation);
        let (receipt, executor) = receipt.unzip();
        let last = match end {
            End::Succeeded(finished) => InvocationEvent::Done(Box::new(finished)),
            End::Failed(error) | End::Dead(error) => InvocationEvent::Failed {
                invocation,
                error,
                receipt,
                executor,
            },
        };
        self.say(last).await;
    }
}

impl Door {
    /// Waits until the caller left.
    async fn closed(&self) {
        match self {
            Self::Waiting(events) => events.closed().await,
            Self::Durable(_) => std::future::pending().await,
        }
    }
}

impl Course {
    fn new(life: Lifecycle, found: Found) -> Self {
        Self {
            life,
            found,
            results: HashMap::new(),
            receipt_of_failure: None,
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
