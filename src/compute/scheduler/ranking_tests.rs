//! Promises of the ranking.

use proptest::prelude::*;

use super::*;

fn report(input: Option<Presence>) -> CandidateReport {
    CandidateReport {
        id: 0,
        veto: None,
        slots: 2,
        free: 2,
        queued: 0,
        run_ms: None,
        has_code: true,
        is_warm: true,
        fetch_bytes_per_s: 0,
        input,
    }
}

fn candidate(peer: &str, answer: CandidateReport) -> Considered {
    Considered {
        peer: peer.to_owned(),
        sources: vec!["advert".into()],
        via: None,
        rtt: Duration::from_millis(5),
        answer: Ok(answer),
    }
}

fn complete(bytes: u64) -> Option<Presence> {
    Some(Presence {
        local_bytes: bytes,
        is_complete: true,
        ..Presence::default()
    })
}

fn share(local: u64, missing: u64, unknown: u64) -> Option<Presence> {
    Some(Presence {
        local_bytes: local,
        missing_bytes: missing,
        unknown_bytes: unknown,
        is_complete: false,
    })
}

fn first(considered: Vec<Considered>, rules: Rules) -> Candidate {
    rank(considered, rules, Tie::default()).candidates.remove(0)
}

#[test]
fn the_holder_of_all_bytes_beats_a_decoy_that_holds_some() {
    let decoy = candidate("decoy", report(share(3 << 20, 47 << 20, 0)));
    let holder = candidate("holder", report(complete(50 << 20)));
    assert_eq!(first(vec![decoy, holder], Rules::default()).peer, "holder");
}

#[test]
fn a_small_input_moves_to_a_free_node_rather_than_wait_in_a_queue() {
    let busy = CandidateReport {
        free: 0,
        queued: 20,
        run_ms: Some(1_000),
        ..report(complete(1_000))
    };
    let free = CandidateReport {
        run_ms: Some(1_000),
        ..report(None)
    };
    let best = first(
        vec![candidate("busy", busy), candidate("free", free)],
        Rules::default(),
    );
    assert_eq!(best.peer, "free");
}

#[test]
fn local_only_takes_nobody_without_proof_and_says_what_is_lacking() {
    let rules = Rules { local_only: true };
    let best = first(vec![candidate("some", report(share(5, 7, 0)))], rules);
    assert!(
        best.veto
            .is_some_and(|why| why.contains("5 bytes there, 7 missing"))
    );
}

#[test]
fn a_veto_keeps_its_reason_and_ranks_last() {
    let silent = Considered {
        answer: Err("did not answer".into()),
        ..candidate("silent", report(None))
    };
    let ranked = rank(
        vec![silent, candidate("slow", report(None))],
        Rules::default(),
        Tie::default(),
    );
    assert_eq!(ranked.candidates[1].veto.as_deref(), Some("did not answer"));
}

#[test]
fn equal_candidates_come_in_another_order_for_another_call() {
    let peers = || (0..50).map(|n| candidate(&format!("12D3KooW{n:044}"), report(None)));
    let order = |seed| {
        let ranked = rank(peers().collect(), Rules::default(), Tie(seed));
        let peers = ranked.candidates.into_iter().map(|c| c.peer);
        peers.collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    let firsts: std::collections::BTreeSet<_> = (0..50).map(|n| order(n)[0].clone()).collect();
    assert!(firsts.len() > 10, "{firsts:?}");
}

#[test]
fn ranking_ten_thousand_candidates_compares_not_all_with_all() {
    let time = |count: u64| {
        let considered: Vec<_> = (0..count)
            .map(|n| candidate(&n.to_string(), report(share(n, n, 0))))
            .collect();
        let began = tokio::time::Instant::now();
        let ranked = rank(considered, Rules::default(), Tie(1));
        assert_eq!(ranked.candidates.len() as u64, count);
        began.elapsed()
    };
    let many = (0..5).map(|_| time(10_000)).min().unwrap_or_default();
    // A release build takes one; whoever compares all with all takes thousands.
    assert!(many < Duration::from_millis(200), "{many:?}");
}

proptest! {
    #[test]
    fn predictions_are_the_sum_of_their_terms_and_sorted(
        seeds in prop::collection::vec((0u64..1 << 40, 0u64..1 << 40, 0u32..9, 0u32..99, any::<bool>()), 1..50)
    ) {
        let considered = seeds.iter().enumerate().map(|(n, (local, missing, free, queued, warm))| {
            let input = share(*local, *missing, 0);
            candidate(&n.to_string(), CandidateReport { free: *free, queued: *queued, is_warm: *warm, ..report(input) })
        });
        let ranked = rank(considered.collect(), Rules::default(), Tie::default());
        for c in &ranked.candidates {
            prop_assert_eq!(c.predicted_ms, c.terms.sum());
        }
        prop_assert!(ranked.candidates.windows(2).all(|w| w[0].predicted_ms <= w[1].predicted_ms));
    }
}
