//! Placement's arithmetic: predicted milliseconds to the result.
//!
//! Takes what candidates said and what was measured, gives the explanation,
//! best first. Pure; 10,000 candidates stay under a millisecond.

use std::{cmp::Reverse, time::Duration};

use crate::{
    compute::{Candidate, Explanation, Terms},
    model::{CandidateReport, Presence},
};

/// Bytes per second assumed where nothing was measured yet: a modest uplink.
const ASSUMED_BYTES_PER_S: u64 = 10 << 20;
/// Milliseconds one block exchange takes where something must be fetched at all.
const FETCH_ROUND_TRIP_MS: u64 = 20;
/// Milliseconds for compiling code that was never compiled there.
const COMPILE_MS: u64 = 150;
/// Milliseconds for loading code that is there.
const LOAD_MS: u64 = 5;
/// Bytes of code that a node without it must fetch.
const ASSUMED_CODE_BYTES: u64 = 256 << 10;
/// Milliseconds a run takes where nobody saw one.
const ASSUMED_RUN_MS: u64 = 50;

/// One candidate as the scheduler knows it.
#[derive(Clone, Debug)]
pub(crate) struct Considered {
    /// Peer ID.
    pub(crate) peer: String,
    /// Where its name came from.
    pub(crate) sources: Vec<&'static str>,
    /// The peer that forwards to it, if one does.
    pub(crate) via: Option<String>,
    /// Round trip of its link.
    pub(crate) rtt: Duration,
    /// Its answer, or why there is none.
    pub(crate) answer: Result<CandidateReport, String>,
}

/// What the ranking must respect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Only where the whole input is proved to lie.
    pub(crate) local_only: bool,
}

/// Ranks `considered`; ties are broken by `tie`, so that equal candidates
/// share the load.
pub(crate) fn rank(
    considered: Vec<Considered>,
    rules: Rules,
    tie: impl Fn(&str) -> u64,
) -> Explanation {
    let known = Known {
        input_bytes: input_total(&considered),
        run_ms: run_time(&considered),
    };
    let mut candidates: Vec<Candidate> = considered
        .into_iter()
        .map(|c| weigh(c, rules, known))
        .collect();
    candidates.sort_by_cached_key(|c| {
        (
            c.veto.is_some(),
            c.predicted_ms,
            Reverse(c.bytes_local),
            tie(&c.peer),
        )
    });
    Explanation {
        chosen: None,
        candidates,
    }
}

/// What holds for every candidate alike.
#[derive(Clone, Copy)]
struct Known {
    input_bytes: u64,
    run_ms: u64,
}

/// The run time of a candidate that has not run this yet: what others saw.
fn run_time(considered: &[Considered]) -> u64 {
    let seen = considered
        .iter()
        .filter_map(|c| c.answer.as_ref().ok()?.run_ms);
    seen.min().unwrap_or(ASSUMED_RUN_MS)
}

/// The input's size: the largest that anyone accounts for.
fn input_total(considered: &[Considered]) -> u64 {
    considered
        .iter()
        .filter_map(|c| c.answer.as_ref().ok()?.input)
        .map(|p| {
            p.local_bytes
                .saturating_add(p.missing_bytes)
                .saturating_add(p.unknown_bytes)
        })
        .max()
        .unwrap_or(0)
}

fn weigh(considered: Considered, rules: Rules, known: Known) -> Candidate {
    let presence = considered.answer.as_ref().ok().and_then(|r| r.input);
    let (bytes_local, bytes_missing) = account(presence, known.input_bytes);
    let terms = considered.answer.as_ref().map_or_else(
        |_| Terms::default(),
        |report| terms(report, considered.rtt, bytes_missing, known.run_ms),
    );
    let veto = veto(&considered, rules, presence);
    Candidate {
        peer: considered.peer,
        predicted_ms: terms.sum(),
        terms,
        bytes_local,
        bytes_missing,
        sources: considered.sources.into_iter().map(str::to_owned).collect(),
        via: considered.via,
        veto,
    }
}

/// Bytes that are there, and bytes that are not or that nobody proved.
fn account(presence: Option<Presence>, total: u64) -> (u64, u64) {
    match presence {
        None => (0, total),
        Some(p) if p.is_complete => (p.local_bytes.max(total), 0),
        Some(p) => (
            p.local_bytes,
            total.saturating_sub(p.local_bytes).max(p.missing_bytes),
        ),
    }
}

fn terms(report: &CandidateReport, rtt: Duration, missing: u64, run_ms: u64) -> Terms {
    let run = report.run_ms.unwrap_or(run_ms);
    let speed = if report.fetch_bytes_per_s == 0 {
        ASSUMED_BYTES_PER_S
    } else {
        report.fetch_bytes_per_s
    };
    let wanted = missing.saturating_add(if report.has_code {
        0
    } else {
        ASSUMED_CODE_BYTES
    });
    let exchange = if wanted > 0 { FETCH_ROUND_TRIP_MS } else { 0 };
    Terms {
        rtt: u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX),
        queue: queue_ms(report, run),
        fetch: exchange.saturating_add(wanted.saturating_mul(1000) / speed),
        cold: if report.is_warm {
            0
        } else if report.has_code {
            LOAD_MS
        } else {
            COMPILE_MS
        },
        run,
    }
}

/// Rounds of full slots before a place is free, each as long as a run.
fn queue_ms(report: &CandidateReport, run: u64) -> u64 {
    if report.free > 0 {
        return 0;
    }
    let slots = u64::from(report.slots.max(1));
    (u64::from(report.queued) + 1)
        .div_ceil(slots)
        .saturating_mul(run)
}

fn veto(considered: &Considered, rules: Rules, presence: Option<Presence>) -> Option<String> {
    let report = match &considered.answer {
        Err(why) => return Some(why.clone()),
        Ok(report) => report,
    };
    if let Some(why) = &report.veto {
        return Some(why.clone());
    }
    (rules.local_only && !presence.is_some_and(|p| p.is_complete)).then(|| lacking(presence))
}

fn lacking(presence: Option<Presence>) -> String {
    match presence {
        None => "holds nothing of the input".to_owned(),
        Some(p) => format!(
            "does not prove that it holds the whole input: {} bytes there, {} missing, {} unknown",
            p.local_bytes, p.missing_bytes, p.unknown_bytes
        ),
    }
}

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod tests;
