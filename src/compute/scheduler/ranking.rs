//! Placement's arithmetic: predicted milliseconds to the result.
//!
//! Takes what candidates said and what was measured, gives the explanation,
//! best first. Pure; 10,000 candidates stay under a millisecond, which
//! `cargo bench` shows: nothing is copied, and who is equal draws by its
//! place in the list.

use std::{borrow::Cow, time::Duration};

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
/// Of a candidate's place, those that are its index.
const INDEX_BITS: u32 = 20;
/// Milliseconds a run takes where nobody saw one.
const ASSUMED_RUN_MS: u64 = 50;

/// One candidate as the scheduler knows it.
#[derive(Clone, Debug)]
pub struct Considered {
    /// Peer ID.
    pub peer: String,
    /// Where its name came from.
    pub sources: Vec<Cow<'static, str>>,
    /// The peer that forwards to it, if one does.
    pub via: Option<String>,
    /// Round trip of its link.
    pub rtt: Duration,
    /// Its answer, or why there is none.
    pub answer: Result<CandidateReport, String>,
}

/// What the ranking must respect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Only where the whole input is proved to lie.
    pub local_only: bool,
}

/// Draws an order of equal candidates, another for each call, so that they
/// share the load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tie(pub u64);

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Tie {
    /// What the candidate of this index draws: its name lies far away.
    const fn draw(self, index: u64) -> u64 {
        let drawn = (self.0 ^ index).wrapping_mul(ODD);
        (drawn ^ drawn >> 32).wrapping_mul(ODD).rotate_left(29)
    }

    /// A peer's place in the draw.
    #[must_use]
    pub fn of(self, peer: &str) -> u64 {
        let (words, rest) = peer.as_bytes().as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        words.iter().chain([&last]).fold(self.0, |drawn, word| {
            (drawn ^ u64::from_le_bytes(*word))
                .wrapping_mul(ODD)
                .rotate_left(29)
        })
    }
}

/// Ranks `considered`, the best first, those with a veto last; equal ones are
/// in the order of `tie`. Beyond a million of them none is looked at.
#[must_use]
pub fn rank(mut considered: Vec<Considered>, rules: Rules, tie: Tie) -> Explanation {
    let known = Known::of(&considered);
    let numbered = considered.iter().zip(0..1_u64 << INDEX_BITS);
    let mut places: Vec<u128> = numbered
        .map(|(one, index)| place(one, weigh(one, known), rules, (tie.draw(index), index)))
        .collect();
    places.sort_unstable();
    let best_first = places.iter().filter_map(|place| {
        let index = place & ((1 << INDEX_BITS) - 1);
        let one = considered.get_mut(usize::try_from(index).ok()?)?;
        let weighed = weigh(one, known);
        Some(explain(one, weighed, rules))
    });
    let candidates = best_first.collect();
    Explanation {
        chosen: None,
        candidates,
    }
}

/// What holds for every candidate alike.
#[derive(Clone, Copy)]
struct Known {
    /// The input's size: the largest that anyone accounts for.
    input_bytes: u64,
    /// The run time of a candidate that has not run this yet: what others saw.
    run_ms: u64,
}

impl Known {
    fn of(considered: &[Considered]) -> Self {
        let (mut input_bytes, mut run_ms) = (0, None);
        for report in considered.iter().filter_map(|c| c.answer.as_ref().ok()) {
            let bytes = report.input.map_or(0, |p| {
                p.local_bytes
                    .saturating_add(p.missing_bytes)
                    .saturating_add(p.unknown_bytes)
            });
            input_bytes = bytes.max(input_bytes);
            run_ms = [run_ms, report.run_ms].into_iter().flatten().min();
        }
        Self {
            input_bytes,
            run_ms: run_ms.unwrap_or(ASSUMED_RUN_MS),
        }
    }
}

/// What a candidate's answer comes to.
#[derive(Clone, Copy)]
struct Weighed {
    terms: Terms,
    bytes_local: u64,
    bytes_missing: u64,
}

fn weigh(considered: &Considered, known: Known) -> Weighed {
    let report = considered.answer.as_ref().ok();
    let presence = report.and_then(|report| report.input);
    let (bytes_local, bytes_missing) = account(presence, known.input_bytes);
    let terms = report.map_or_else(Terms::default, |report| {
        terms(report, considered.rtt, bytes_missing, known.run_ms)
    });
    Weighed {
        terms,
        bytes_local,
        bytes_missing,
    }
}

/// A candidate's place, as a number that is compared at once: the veto, 37 bits
/// of milliseconds (four years), 43 bits of bytes that are not there (eight
/// tebibytes), 27 bits of the draw, and the candidate's index.
fn place(
    considered: &Considered,
    weighed: Weighed,
    rules: Rules,
    (drawn, index): (u64, u64),
) -> u128 {
    const MS: u64 = (1 << 37) - 1;
    const BYTES: u64 = (1 << 43) - 1;
    const DRAW: u64 = (1 << 27) - 1;
    let predicted = weighed.terms.sum().min(MS);
    let absent = BYTES - weighed.bytes_local.min(BYTES);
    let fields = u128::from(predicted) << 70 | u128::from(absent) << 27 | u128::from(drawn & DRAW);
    let placed = u128::from(is_vetoed(considered, rules)) << 107 | fields;
    placed << INDEX_BITS | u128::from(index)
}

/// Moves the names out of `considered`.
fn explain(considered: &mut Considered, weighed: Weighed, rules: Rules) -> Candidate {
    Candidate {
        peer: std::mem::take(&mut considered.peer),
        predicted_ms: weighed.terms.sum(),
        terms: weighed.terms,
        bytes_local: weighed.bytes_local,
        bytes_missing: weighed.bytes_missing,
        sources: std::mem::take(&mut considered.sources),
        via: considered.via.take(),
        veto: veto(&mut considered.answer, rules),
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

fn is_vetoed(considered: &Considered, rules: Rules) -> bool {
    let report = considered.answer.as_ref().ok();
    report.is_none_or(|report| report.veto.is_some() || lacks(report, rules))
}

fn lacks(report: &CandidateReport, rules: Rules) -> bool {
    rules.local_only && !report.input.is_some_and(|input| input.is_complete)
}

/// Why it may not run this, moved out of its answer.
fn veto(answer: &mut Result<CandidateReport, String>, rules: Rules) -> Option<String> {
    match answer {
        Err(why) => Some(std::mem::take(why)),
        Ok(report) => {
            let lacks = lacks(report, rules);
            let own = report.veto.take();
            own.or_else(|| lacks.then(|| lacking(report.input)))
        }
    }
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
