//! Finds candidates and hears what each holds of the input.
//!
//! Takes a prepared call, gives the ranked candidates with their addresses.
//! Hints (provider records, adverts, configuration) are only reasons to ask;
//! a candidate counts once it answered over its link. The search ends when a
//! live candidate holds everything and those as near had time to answer, when
//! everyone answered, or at the find timeout. What it found serves equal calls
//! for some seconds; who is not linked any more does not count.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use super::{
    prepare::Prepared,
    ranking::{Considered, Rules, Tie, rank},
    recent::{Key, Recent},
};
use crate::{
    compute::{Explanation, runtime_name},
    mesh::{Address, Hint, Mesh, Query, Source},
    model::{CandidateReport, Message, PeerId, Presence, Probe},
    task::Tasks,
};

/// How long others may still answer once a candidate holds everything.
const SETTLE: Duration = Duration::from_millis(60);
/// How much longer a provider of the input is waited for while nobody is known
/// to hold it: fetching it would take longer still.
const PROVIDER_GRACE: Duration = Duration::from_millis(800);
/// Searches of durable invocations at once.
const MAX_SEARCHES: usize = 32;
/// Candidates asked for one invocation.
const MAX_CANDIDATES: usize = 64;

/// Why a candidate does not count that said nothing.
const SILENT: &str = "did not answer in time";

/// Asks candidates. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    mesh: Mesh,
    probes: Arc<Mutex<HashMap<u64, Asked>>>,
    next: Arc<AtomicU64>,
    turns: Arc<Semaphore>,
    recent: Arc<Recent>,
    tasks: Tasks,
}

/// What a search gave.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Everyone considered, best first.
    pub(super) explanation: Explanation,
    /// Where they can be dialled.
    pub(super) addresses: HashMap<String, Vec<String>>,
    /// Where the input can be fetched.
    pub(super) sources: Vec<String>,
    /// It was found for an earlier call.
    pub(super) is_recent: bool,
}

/// Everyone considered, before anything is weighed.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    considered: Vec<Considered>,
    addresses: HashMap<String, Vec<String>>,
    sources: Vec<String>,
}

/// Leases that this node's calls hold, by executor.
pub(super) type Load = HashMap<PeerId, u32>;

/// Who was asked, and who waits for the answer.
type Asked = (PeerId, oneshot::Sender<CandidateReport>);

type Asking<'a> =
    FuturesUnordered<BoxFuture<'a, (PeerId, Duration, Result<CandidateReport, String>)>>;

impl Placement {
    /// Over the mesh.
    pub(super) fn new(mesh: Mesh, tasks: Tasks) -> Self {
        Self {
            mesh,
            probes: Arc::default(),
            next: Arc::default(),
            turns: Arc::new(Semaphore::new(MAX_SEARCHES)),
            recent: Arc::default(),
            tasks,
        }
    }

    /// A candidate answered.
    pub(super) fn reported(&self, from: &PeerId, report: CandidateReport) {
        let mut probes = self.probes.lock();
        if probes.get(&report.id).is_some_and(|(peer, _)| peer == from)
            && let Some((_, answer)) = probes.remove(&report.id)
        {
            let _nobody_waits_any_more = answer.send(report);
        }
    }

    /// The same, when few others look too: for what is in no hurry.
    pub(super) async fn find_in_turn(&self, prepared: &Prepared, load: &Load) -> Found {
        let _turn = self.turns.acquire().await;
        self.find(prepared, load).await
    }

    /// Ranks the candidates for a call; looks for them where none were found
    /// lately.
    pub(super) async fn find(&self, prepared: &Prepared, load: &Load) -> Found {
        let (key, now) = (Key::of(prepared), Instant::now());
        if let Some((survey, is_due)) = self.recent.get(&key, now)
            && survey.is_alive(&self.mesh)
        {
            if is_due {
                let (this, prepared) = (self.clone(), prepared.clone());
                self.tasks.spawn("survey", async move {
                    this.look_in_turn(&prepared).await;
                });
            }
            return survey.again(prepared, &self.mesh, load);
        }
        self.find_anew(prepared).await
    }

    /// Looks for candidates, whatever was found before, and ranks them.
    pub(super) async fn find_anew(&self, prepared: &Prepared) -> Found {
        let survey = self.look(prepared).await;
        Arc::unwrap_or_clone(survey).found(prepared)
    }

    /// What was found for this call does not hold.
    pub(super) fn forget(&self, prepared: &Prepared) {
        self.recent.forget(&Key::of(prepared));
    }

    async fn look_in_turn(&self, prepared: &Prepared) -> Arc<Survey> {
        let _turn = self.turns.acquire().await;
        self.look(prepared).await
    }

    /// Looks for candidates and remembers who was found.
    async fn look(&self, prepared: &Prepared) -> Arc<Survey> {
        let survey = Arc::new(self.survey(prepared).await);
        self.recent.put(Key::of(prepared), &survey, Instant::now());
        survey
    }

    async fn survey(&self, prepared: &Prepared) -> Survey {
        let mut search = Search::new(prepared);
        let query = Query {
            input: prepared.sought_input(),
            function: Some(prepared.call.function),
            runtime: prepared.manifest.runtime.sandbox().to_owned(),
            timeout: prepared.request.find_timeout,
        };
        let mut hints = Box::pin(self.mesh.find(query)).fuse();
        let mut asking: Asking<'_> = FuturesUnordered::new();
        let mut hints_over = false;
        while !(hints_over && asking.is_empty()) {
            let stop = tokio::time::sleep_until(search.stop_at());
            tokio::select! {
                hint = hints.next(), if !hints_over => match hint {
                    Some(hint) => {
                        if let Some((peer, addresses)) = search.hinted(hint) {
                            asking.push(self.ask(peer, addresses, prepared, search.until).boxed());
                        }
                    }
                    None => hints_over = true,
                },
                Some((peer, rtt, answer)) = asking.next(), if !asking.is_empty() => search.answered(peer, rtt, answer),
                () = stop => break,
            }
        }
        search.finish(&self.mesh)
    }

    /// Links up with `peer` and hears its account.
    async fn ask(
        &self,
        peer: PeerId,
        addresses: Vec<String>,
        prepared: &Prepared,
        until: Instant,
    ) -> (PeerId, Duration, Result<CandidateReport, String>) {
        let address = Address::from(peer);
        let wait = (until + PROVIDER_GRACE).duration_since(Instant::now());
        let began = Instant::now();
        if let Err(error) = self.mesh.connect(&address, &addresses, wait).await {
            return (peer, began.elapsed(), Err(error.to_string()));
        }
        let began = Instant::now();
        let answer = self.probe(&address, prepared, until + PROVIDER_GRACE).await;
        let rtt = self.mesh.rtt(&peer).unwrap_or_else(|| began.elapsed());
        (peer, rtt, answer)
    }

    async fn probe(
        &self,
        to: &Address,
        prepared: &Prepared,
        until: Instant,
    ) -> Result<CandidateReport, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, report) = oneshot::channel();
        self.probes.lock().insert(id, (to.peer, answer));
        let probe = Probe {
            id,
            function: prepared.call.function,
            code: prepared
                .manifest
                .runtime
                .code()
                .copied()
                .unwrap_or(prepared.call.function),
            runtime: runtime_name(&prepared.manifest.runtime),
            input: prepared.sought_input(),
        };
        let sent = self.mesh.send(to, Message::Probe(probe)).await;
        let heard = match sent {
            Ok(()) => tokio::time::timeout_at(until, report).await,
            Err(error) => return Err(error.to_string()),
        };
        self.probes.lock().remove(&id);
        match heard {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(_)) | Err(_) => Err(SILENT.to_owned()),
        }
    }
}

/// One search under way.
struct Search {
    until: Instant,
    settled: Option<Instant>,
    seeks_input: bool,
    only: Option<PeerId>,
    considered: HashMap<PeerId, Considered>,
    addresses: HashMap<String, Vec<String>>,
    sources: Vec<String>,
}

impl Search {
    fn new(prepared: &Prepared) -> Self {
        Self {
            until: Instant::now() + prepared.request.find_timeout,
            settled: None,
            seeks_input: prepared.sought_input().is_some(),
            only: prepared.only,
            considered: HashMap::new(),
            addresses: HashMap::new(),
            sources: Vec::new(),
        }
    }

    fn stop_at(&self) -> Instant {
        match self.settled {
            Some(settled) => settled.min(self.until),
            None if self.awaits_a_provider() => self.until + PROVIDER_GRACE,
            None => self.until,
        }
    }

    fn awaits_a_provider(&self) -> bool {
        let provides = |c: &Considered| c.sources.contains(&Source::Input.as_str().into());
        self.seeks_input
            && self
                .considered
                .values()
                .any(|c| provides(c) && c.answer.is_err())
    }

    /// Notes a hint; gives whom to ask, if it names somebody new.
    fn hinted(&mut self, hint: Hint) -> Option<(PeerId, Vec<String>)> {
        if matches!(hint.source, Source::Input) {
            self.sources.extend(hint.addresses.iter().take(2).cloned());
        }
        self.addresses
            .entry(hint.peer.to_string())
            .or_default()
            .extend(hint.addresses.iter().cloned());
        if let Some(known) = self.considered.get_mut(&hint.peer) {
            known.sources.push(hint.source.as_str().into());
            return None;
        }
        if self.considered.len() >= MAX_CANDIDATES {
            return None;
        }
        let is_wanted = self.only.is_none_or(|only| only == hint.peer);
        let silent = if is_wanted {
            SILENT
        } else {
            "not the peer that was asked for"
        };
        let considered = Considered {
            peer: hint.peer.to_string(),
            sources: vec![hint.source.as_str().into()],
            via: None,
            rtt: Duration::ZERO,
            answer: Err(silent.to_owned()),
        };
        self.considered.insert(hint.peer, considered);
        is_wanted.then_some((hint.peer, hint.addresses))
    }

    fn answered(&mut self, peer: PeerId, rtt: Duration, answer: Result<CandidateReport, String>) {
        let Some(considered) = self.considered.get_mut(&peer) else {
            return;
        };
        let holds_all = answer.as_ref().is_ok_and(|report| {
            report.veto.is_none()
                && (!self.seeks_input || report.input.is_some_and(|p| p.is_complete))
        });
        considered.rtt = rtt;
        considered.answer = answer;
        if holds_all && self.settled.is_none() {
            self.settled = Some(Instant::now() + SETTLE);
        }
    }

    fn finish(mut self, mesh: &Mesh) -> Survey {
        for (peer, considered) in &mut self.considered {
            considered.via = mesh.via(peer).map(|relay| relay.to_string());
            if considered.answer.as_ref().is_err_and(|why| why == SILENT)
                && let Some(why) = mesh.why_not_around(peer)
            {
                considered.answer = Err(format!("{SILENT}: {why}"));
            }
        }
        let considered = self.considered.into_values();
        let considered = considered.map(|c| if self.seeks_input { c } else { with_all(c) });
        self.sources.truncate(16);
        Survey {
            considered: considered.collect(),
            addresses: self.addresses,
            sources: self.sources,
        }
    }
}

impl Survey {
    /// Whether anyone would run the call.
    pub(super) fn found_somebody(&self) -> bool {
        self.considered.iter().any(is_willing)
    }

    /// Whether one of those who would can still be spoken to.
    fn is_alive(&self, mesh: &Mesh) -> bool {
        let mut willing = self.considered.iter().filter(|c| is_willing(c));
        willing.any(|c| c.peer.parse().is_ok_and(|peer| mesh.is_linked(&peer)))
    }

    /// The candidates for a later call: what can be known without asking them
    /// is known anew.
    fn again(&self, prepared: &Prepared, mesh: &Mesh, load: &Load) -> Found {
        let mut survey = self.clone();
        for considered in &mut survey.considered {
            refresh(considered, mesh, load);
        }
        Found {
            is_recent: true,
            ..survey.found(prepared)
        }
    }

    /// The candidates for one call, best first.
    fn found(self, prepared: &Prepared) -> Found {
        let rules = Rules {
            local_only: prepared.request.local_only && prepared.sought_input().is_some(),
        };
        let seed = u64::from_le_bytes(
            prepared
                .call_cid
                .hash()
                .digest()
                .first_chunk()
                .copied()
                .unwrap_or_default(),
        );
        let tie = Tie(seed ^ prepared.submitted_ms);
        let mut explanation = rank(self.considered, rules, tie);
        if !prepared.request.placement {
            explanation
                .candidates
                .sort_by_key(|c| (c.veto.is_some(), tie.of(&c.peer)));
        }
        Found {
            explanation,
            addresses: self.addresses,
            sources: self.sources,
            is_recent: false,
        }
    }

    /// A survey that found somebody.
    #[cfg(test)]
    pub(super) fn of_one() -> Self {
        let report = CandidateReport {
            id: 0,
            veto: None,
            slots: 1,
            free: 1,
            queued: 0,
            run_ms: None,
            has_code: true,
            is_warm: true,
            fetch_bytes_per_s: 0,
            input: None,
        };
        let willing = Considered {
            peer: "a".to_owned(),
            sources: Vec::new(),
            via: None,
            rtt: Duration::ZERO,
            answer: Ok(report),
        };
        Self {
            considered: vec![willing],
            ..Self::default()
        }
    }
}

fn is_willing(considered: &Considered) -> bool {
    considered
        .answer
        .as_ref()
        .is_ok_and(|report| report.veto.is_none())
}

/// What can be known of a candidate without asking it: its link, and what of
/// its room the own calls take.
fn refresh(considered: &mut Considered, mesh: &Mesh, load: &Load) {
    let Ok(peer) = considered.peer.parse() else {
        return;
    };
    if is_willing(considered) && !mesh.is_linked(&peer) {
        considered.answer = Err("its link broke".to_owned());
    }
    considered.rtt = mesh.rtt(&peer).unwrap_or(considered.rtt);
    considered.via = mesh.via(&peer).map(|relay| relay.to_string());
    if let Ok(report) = &mut considered.answer {
        let own = load.get(&peer).copied().unwrap_or_default();
        report.free = report.slots.saturating_sub(own);
        report.queued = own.saturating_sub(report.slots);
    }
}

/// An input that rides along lies with everybody.
fn with_all(mut considered: Considered) -> Considered {
    if let Ok(report) = &mut considered.answer {
        report.input = Some(Presence {
            is_complete: true,
            ..Presence::default()
        });
    }
    considered
}
