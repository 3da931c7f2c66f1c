//! Drives one invocation from its call to its end.
//!
//! Takes a prepared call and what its executors say, gives events to the door.
//! Wait, decide (`lifecycle`), act: the only place of the scheduler that does
//! something to the outside.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    Parts, fresh_lease,
    lifecycle::{Action, Bounds, Event, Lifecycle},
    open::{Heard, Open},
    placement::{Found, Placement},
    prepare::Prepared,
    verify::{self, Verified},
};
use crate::{
    compute::{Failure, Finished, InvocationEvent},
    mesh::Address,
    model::{Assignment, Class, Delivery, LeaseId, Message, PeerId, Verdict},
};

/// How long an offer may stay unanswered.
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);
/// Heartbeats per ttl, and how many may be missing before a pure call is
/// tried elsewhere as well.
const HEARTBEATS_PER_TTL: u32 = 4;

/// One invocation under way.
pub(super) struct Driver {
    pub(super) parts: Arc<Parts>,
    pub(super) open: Arc<Open>,
    pub(super) placement: Placement,
    pub(super) prepared: Prepared,
    pub(super) events: mpsc::Sender<InvocationEvent>,
    pub(super) mailbox: mpsc::Sender<Heard>,
    pub(super) cancel: CancellationToken,
}

/// What is known once candidates were found.
pub(super) struct Course {
    life: Lifecycle,
    pub(super) found: Found,
    pub(super) results: HashMap<LeaseId, (Verified, Delivery)>,
    receipt_of_failure: Option<(String, String)>,
}

impl Driver {
    /// Runs to the end.
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
        let door_left = self.events.clone();
        let found = tokio::select! {
            found = self.placement.find(&self.prepared) => found,
            () = self.cancel.cancelled() => return self.finish(Err(cancelled()), None).await,
            () = door_left.closed() => return self.finish(Err(cancelled()), None).await,
        };
        self.open.explained(&invocation, &found.explanation);
        let willing: Vec<String> = willing(&found);
        if willing.is_empty() {
            let failure = self.nobody(&found);
            return self.finish(Err(failure), None).await;
        }
        let course = Course {
            life: Lifecycle::new(self.bounds()),
            found,
            results: HashMap::new(),
            receipt_of_failure: None,
        };
        self.run(course, willing, heard).await;
    }

    async fn run(self, mut course: Course, willing: Vec<String>, mut heard: mpsc::Receiver<Heard>) {
        let mut event = Event::Ranked(willing);
        let mut is_leaving = false;
        loop {
            let actions = course.life.handle(event, Instant::now(), fresh_lease());
            for action in actions {
                if let ControlFlow::Break(end) = self.act(&mut course, action).await {
                    return self.finish(end, course.receipt_of_failure).await;
                }
            }
            event = tokio::select! {
                Some(heard) = heard.recv() => self.weigh(&mut course, heard),
                () = tokio::time::sleep_until(course.life.next_tick()) => Event::Tick,
                () = self.cancel.cancelled(), if !is_leaving => { is_leaving = true; Event::Cancel }
                () = self.events.closed(), if !is_leaving => { is_leaving = true; Event::Cancel }
            };
        }
    }

    /// Turns what was heard into an event; results are verified here.
    fn weigh(&self, course: &mut Course, heard: Heard) -> Event {
        let (from, delivery) = match heard {
            Heard::Event(event) => return event,
            Heard::Result(from, delivery) => (from, delivery),
        };
        let lease = delivery.lease;
        match verify::verify(&delivery, &from.peer, lease, &self.prepared) {
            Err(why) => {
                info!(peer.id = %from, %why, "a receipt was refused");
                Event::Forged(lease, why)
            }
            Ok(verified) => {
                let outcome = verify::outcome(&verified.receipt);
                course.results.insert(lease, (verified, delivery));
                Event::Result(lease, outcome)
            }
        }
    }

    async fn act(
        &self,
        course: &mut Course,
        action: Action,
    ) -> ControlFlow<Result<Finished, Failure>> {
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
            Action::Lost { executor, reason } => {
                debug!(peer.id = executor, reason, "an attempt came to nothing");
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
                self.learn_failure(course, lease, verdict);
                self.send(&executor, Message::ResultAck { lease, verdict })
                    .await;
            }
            Action::Finish(Ok(lease)) => {
                return ControlFlow::Break(self.accept(course, lease).await);
            }
            Action::Finish(Err(failure)) => return ControlFlow::Break(Err(failure)),
        }
        ControlFlow::Continue(())
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
            sources: sources.take(16).collect(),
            blocks: self.prepared.blocks.clone(),
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
    fn learn_failure(&self, course: &mut Course, lease: LeaseId, verdict: Verdict) {
        let Some((verified, delivery)) = course.results.get(&lease) else {
            return;
        };
        if verdict == Verdict::Accepted && verified.receipt.outcome.output().is_none() {
            let receipt = &verified.receipt;
            let cid =
                self.parts
                    .memo
                    .learn(&delivery.receipt, receipt, delivery.blocks.clone(), false);
            course.receipt_of_failure = Some((cid.to_string(), receipt.executor.clone()));
        }
    }

    fn bounds(&self) -> Bounds {
        let ttl = self.parts.config.lease_ttl;
        Bounds {
            max_attempts: self.parts.config.max_attempts,
            lease_ttl: ttl,
            suspect_after: ttl / HEARTBEATS_PER_TTL * 2 + ttl / 20,
            offer_timeout: OFFER_TIMEOUT,
            deadline: self.prepared.deadline(),
            is_pure: self.prepared.manifest.pure,
            may_repeat: self.prepared.manifest.may_repeat,
        }
    }

    /// Why no candidate may run it.
    fn nobody(&self, found: &Found) -> Failure {
        let candidates = &found.explanation.candidates;
        let reasons: Vec<String> = candidates
            .iter()
            .filter_map(|c| Some(format!("{}: {}", c.peer, c.veto.as_ref()?)))
            .collect();
        if candidates.is_empty() {
            return Failure::new(Class::Refused, "no_executor", "no executor was found").with_hint(
                "let this node run code itself, or give it peers: timerose daemon --peer ADDRESS",
            );
        }
        if self.prepared.request.local_only {
            let message = format!(
                "nobody nearby holds the whole input: {}",
                reasons.join("; ")
            );
            return Failure::new(Class::Refused, "not_local", message)
                .with_hint("leave out --local-only to let it be fetched");
        }
        let failure = Failure::new(
            Class::Refused,
            "no_executor",
            format!("no executor takes it: {}", reasons.join("; ")),
        );
        match reasons.iter().find_map(|r| r.split_once("can type: ")) {
            Some((_, line)) => {
                failure.with_hint(format!("send this line to that node's operator: {line}"))
            }
            None => failure.with_hint("see every candidate with: timerose invoke --dry-run"),
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
        let _door_left = self.events.send(event).await;
    }

    async fn finish(self, end: Result<Finished, Failure>, receipt: Option<(String, String)>) {
        let invocation = self.prepared.invocation.to_string();
        self.open.close(&invocation, end.clone());
        let (receipt, executor) = receipt.unzip();
        let last = match end {
            Ok(finished) => InvocationEvent::Done(Box::new(finished)),
            Err(error) => InvocationEvent::Failed {
                invocation,
                error,
                receipt,
                executor,
            },
        };
        self.say(last).await;
    }
}

fn willing(found: &Found) -> Vec<String> {
    found
        .explanation
        .candidates
        .iter()
        .filter(|c| c.veto.is_none())
        .map(|c| c.peer.clone())
        .collect()
}

fn cancelled() -> Failure {
    Failure::new(
        Class::Cancelled,
        "cancelled",
        "the invocation was cancelled",
    )
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
