//! How long ranking 10,000 candidates takes: under a millisecond is the
//! bar. Run it with `cargo bench --bench ranking` on an idle machine.

use std::time::Duration;

use criterion::{BatchSize, Criterion};
use timerose::{
    compute::scheduler::ranking::{Considered, Rules, Tie, rank},
    model::{CandidateReport, Presence},
};

const CANDIDATES: u64 = 10_000;

/// Candidates of all kinds: every tenth declines, every third holds some of the
/// input, a few all of it; many are equal.
fn candidate(number: u64) -> Considered {
    let draw = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let input = Presence {
        local_bytes: draw % 3 * (1 << 20),
        missing_bytes: 0,
        unknown_bytes: 2 << 20,
        is_complete: draw.is_multiple_of(97),
    };
    let report = CandidateReport {
        id: number,
        veto: None,
        slots: 8,
        free: (draw % 3) as u32,
        queued: (draw % 20) as u32,
        run_ms: draw.is_multiple_of(2).then_some(draw % 500),
        has_code: !draw.is_multiple_of(4),
        is_warm: draw.is_multiple_of(8),
        fetch_bytes_per_s: 10 << 20,
        input: draw.is_multiple_of(3).then_some(input),
    };
    let silent = || Err("did not answer in time".to_owned());
    Considered {
        peer: format!("12D3KooW{draw:022}{number:022}"),
        sources: vec!["advert".into(), "rendezvous".into()],
        via: None,
        rtt: Duration::from_millis(1 + draw % 200),
        answer: if draw.is_multiple_of(10) {
            silent()
        } else {
            Ok(report)
        },
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let candidates: Vec<_> = (0..CANDIDATES).map(candidate).collect();
    criterion.bench_function("rank 10,000 candidates", |bench| {
        bench.iter_batched(
            || candidates.clone(),
            |considered| rank(considered, Rules::default(), Tie(7)),
            BatchSize::LargeInput,
        );
    });
    criterion.final_summary();
}
