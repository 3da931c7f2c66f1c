//! Promises of the life cycle, by hand and by random histories.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(20);

fn bounds(now: Instant, is_pure: bool) -> Bounds {
    Bounds {
        max_attempts: 5,
        lease_ttl: TTL,
        suspect_after: Duration::from_secs(11),
        offer_timeout: Duration::from_secs(5),
        deadline: now + Duration::from_secs(300),
        is_pure,
        may_repeat: false,
        is_durable: false,
    }
}

fn gate() -> Gate {
    Gate::new(TTL)
}

fn lease(n: u64) -> LeaseId {
    LeaseId::new(n, u128::from(n))
}

fn peers(names: &[&str]) -> Event {
    Event::Ranked(names.iter().map(|n| (*n).to_owned()).collect())
}

fn running() -> Progress {
    Progress {
        phase: Phase::Running,
        input_bytes: 1,
    }
}

fn finish(actions: &[Action]) -> Option<&Result<LeaseId, Failure>> {
    actions.iter().find_map(|a| {
        if let Action::Finish(end) = a {
            Some(end)
        } else {
            None
        }
    })
}

fn offered_to(actions: &[Action]) -> Option<&str> {
    actions.iter().find_map(|a| {
        if let Action::Offer { executor, .. } = a {
            Some(executor.as_str())
        } else {
            None
        }
    })
}

#[tokio::test(start_paused = true)]
async fn the_best_candidate_gets_the_first_offer() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, true), now);
    let mut gate = gate();
    assert_eq!(
        offered_to(&life.handle(peers(&["a", "b"]), now, lease(1), &mut gate)),
        Some("a")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_offer_goes_to_the_next_candidate() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, true), now);
    let mut gate = gate();
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    let actions = life.handle(
        Event::Declined(lease(1), "full".into()),
        now,
        lease(2),
        &mut gate,
    );
    assert_eq!(offered_to(&actions), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_executor_of_a_pure_call_is_replaced_and_its_late_result_still_counts() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, true), now);
    let mut gate = gate();
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    life.handle(Event::Heard(lease(1), running()), now, lease(2), &mut gate);
    let later = now + Duration::from_secs(12);
    assert_eq!(
        offered_to(&life.handle(Event::Tick, later, lease(2), &mut gate)),
        Some("b")
    );
    let actions = life.handle(Event::Result(lease(1), Ok(())), later, lease(3), &mut gate);
    assert_eq!(finish(&actions), Some(&Ok(lease(1))));
    assert!(actions.contains(&Action::Revoke {
        executor: "b".into(),
        lease: lease(2)
    }));
}

#[tokio::test(start_paused = true)]
async fn code_with_effects_runs_elsewhere_only_after_the_lease_is_over() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, false), now);
    let mut gate = gate();
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    life.handle(Event::Heard(lease(1), running()), now, lease(2), &mut gate);
    let suspect = life.handle(
        Event::Tick,
        now + Duration::from_secs(12),
        lease(2),
        &mut gate,
    );
    assert_eq!(offered_to(&suspect), None);
    let over = life.handle(Event::Tick, now + TTL + TTL / 2, lease(2), &mut gate);
    assert_eq!(offered_to(&over), Some("b"));
    let late = life.handle(
        Event::Result(lease(1), Ok(())),
        now + TTL / 2 * 3,
        lease(3),
        &mut gate,
    );
    assert!(matches!(
        late.as_slice(),
        [Action::Acknowledge {
            verdict: Verdict::Late,
            ..
        }]
    ));
}

#[tokio::test(start_paused = true)]
async fn of_code_that_may_repeat_its_effects_only_the_newest_try_counts() {
    let now = Instant::now();
    let repeats = Bounds {
        may_repeat: true,
        ..bounds(now, false)
    };
    let mut life = Lifecycle::new(repeats, now);
    let mut gate = gate();
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    life.handle(Event::Heard(lease(1), running()), now, lease(2), &mut gate);
    let later = now + Duration::from_secs(12);
    let suspect = life.handle(Event::Tick, later, lease(2), &mut gate);
    assert_eq!(offered_to(&suspect), Some("b"));
    let older = life.handle(Event::Result(lease(1), Ok(())), later, lease(3), &mut gate);
    assert_eq!(finish(&older), None);
    let newest = life.handle(Event::Result(lease(2), Ok(())), later, lease(3), &mut gate);
    assert_eq!(finish(&newest), Some(&Ok(lease(2))));
}

#[tokio::test(start_paused = true)]
async fn a_durable_life_looks_for_executors_until_its_tries_are_used_up() {
    let mut now = Instant::now();
    let durable = Bounds {
        is_durable: true,
        max_attempts: 2,
        ..bounds(now, true)
    };
    let mut life = Lifecycle::new(durable, now);
    let mut gate = gate();
    assert_eq!(
        life.handle(Event::Tick, now, lease(1), &mut gate),
        [Action::Find]
    );
    assert_eq!(life.handle(peers(&[]), now, lease(1), &mut gate), []);
    for number in 1..=2 {
        now = now.max(life.next_tick());
        assert_eq!(
            life.handle(Event::Tick, now, lease(9), &mut gate),
            [Action::Find]
        );
        let offered = life.handle(peers(&["a"]), now, lease(number), &mut gate);
        assert_eq!(offered_to(&offered), Some("a"));
        let declined = Event::Declined(lease(number), "full".into());
        let actions = life.handle(declined, now, lease(9), &mut gate);
        assert_eq!(finish(&actions).is_some(), number == 2, "{actions:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_that_was_kept_repeats_its_open_offers_with_a_fresh_ttl() {
    let now = Instant::now();
    let durable = Bounds {
        is_durable: true,
        ..bounds(now, false)
    };
    let kept = |n, is_open| Kept {
        executor: "a".into(),
        lease: lease(n),
        is_open,
    };
    let tried = vec![kept(1, false), kept(2, true)];
    let (mut life, offers) = Lifecycle::resumed(durable, tried, now);
    let mut gate = gate();
    assert!(matches!(
        offers.as_slice(),
        [Action::Offer {
            attempt: 2,
            fence: 2,
            ..
        }]
    ));
    assert_eq!(life.handle(Event::Tick, now + TTL, lease(3), &mut gate), []);
    let actions = life.handle(
        Event::Result(lease(2), Ok(())),
        now + TTL,
        lease(3),
        &mut gate,
    );
    assert_eq!(finish(&actions), Some(&Ok(lease(2))));
}

#[tokio::test(start_paused = true)]
async fn the_fault_of_the_code_is_never_tried_elsewhere() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, true), now);
    let mut gate = gate();
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    let trap = Failure::new(Class::User, "trap", "unreachable executed");
    let actions = life.handle(
        Event::Result(lease(1), Err(trap.clone())),
        now,
        lease(2),
        &mut gate,
    );
    assert_eq!(finish(&actions), Some(&Err(trap)));
}

#[tokio::test(start_paused = true)]
async fn a_forged_receipt_is_refused_and_the_next_candidate_tried() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, true), now);
    let mut gate = gate();
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    let actions = life.handle(
        Event::Forged(lease(1), "signature".into()),
        now,
        lease(2),
        &mut gate,
    );
    assert_eq!(offered_to(&actions), Some("b"));
    assert!(actions.contains(&Action::Acknowledge {
        executor: "a".into(),
        lease: lease(1),
        verdict: Verdict::Mismatch
    }));
}

#[tokio::test(start_paused = true)]
async fn silence_of_most_is_held_for_a_ttl_and_a_result_in_that_time_counts() {
    let (now, mut gate) = (Instant::now(), gate());
    let silent: Vec<_> = (0..3).map(|_| crate::model::PeerId::random()).collect();
    silent.iter().for_each(|peer| gate.leased(*peer, now));
    silent.iter().for_each(|peer| gate.broke(peer, now));
    for is_pure in [true, false] {
        let mut life = Lifecycle::new(bounds(now, is_pure), now);
        life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
        life.handle(Event::Heard(lease(1), running()), now, lease(2), &mut gate);
        let over = now + TTL + TTL / 2;
        let held = life.handle(Event::Tick, over, lease(2), &mut gate);
        assert_eq!(held, [], "pure: {is_pure}");
        assert!(life.next_tick() > over && life.next_tick() <= over + TTL);
        let heard = Event::Result(lease(1), Ok(()));
        let actions = life.handle(heard, over + TTL / 2, lease(2), &mut gate);
        assert_eq!(finish(&actions), Some(&Ok(lease(1))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_link_of_one_executor_is_hedged_at_once() {
    let (now, mut gate) = (Instant::now(), gate());
    let mut life = Lifecycle::new(bounds(now, true), now);
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    life.handle(Event::Heard(lease(1), running()), now, lease(2), &mut gate);
    let actions = life.handle(Event::Down("a".into()), now, lease(2), &mut gate);
    assert_eq!(offered_to(&actions), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_a_further_try_waits_and_asks_again() {
    let (now, mut gate) = (Instant::now(), gate());
    while gate.admit(Kind::Retry, now).is_ok() {}
    let mut life = Lifecycle::new(bounds(now, true), now);
    life.handle(peers(&["a", "b"]), now, lease(1), &mut gate);
    let declined = Event::Declined(lease(1), "full".into());
    let actions = life.handle(declined, now, lease(2), &mut gate);
    assert_eq!(offered_to(&actions), None);
    let again = life.next_tick();
    assert!(again > now && again <= now + Duration::from_secs(1));
    let actions = life.handle(Event::Tick, again, lease(2), &mut gate);
    assert_eq!(offered_to(&actions), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn cancelling_revokes_the_open_lease() {
    let now = Instant::now();
    let mut life = Lifecycle::new(bounds(now, true), now);
    let mut gate = gate();
    life.handle(peers(&["a"]), now, lease(1), &mut gate);
    let actions = life.handle(Event::Cancel, now, lease(2), &mut gate);
    assert!(actions.contains(&Action::Revoke {
        executor: "a".into(),
        lease: lease(1)
    }));
    assert!(matches!(finish(&actions), Some(Err(failure)) if failure.class == Class::Cancelled));
}

/// A random event about one of the first few leases.
fn any_event() -> impl Strategy<Value = Event> {
    let l = (1u64..8).prop_map(lease);
    prop_oneof![
        l.clone().prop_map(Event::Accepted),
        l.clone().prop_map(|l| Event::Declined(l, "no".into())),
        l.clone().prop_map(|l| Event::Heard(l, running())),
        l.clone().prop_map(|l| Event::Result(l, Ok(()))),
        l.clone()
            .prop_map(|l| Event::Result(l, Err(Failure::new(Class::Node, "node", "disk")))),
        l.clone()
            .prop_map(|l| Event::Result(l, Err(Failure::new(Class::User, "user", "trap")))),
        l.prop_map(|l| Event::Forged(l, "sig".into())),
        Just(Event::Down("a".into())),
        Just(Event::Cancel),
        Just(Event::Tick),
    ]
}

proptest! {
    #[test]
    fn every_history_ends_once_and_by_its_deadline(
        history in prop::collection::vec((any_event(), 0u64..15_000), 0..40),
        is_pure in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let deadline = bounds(now, is_pure).deadline;
        let mut life = Lifecycle::new(bounds(now, is_pure), now);
        let mut gate = gate();
        let mut ends = 0;
        let mut fences = Vec::new();
        let mut count = |actions: &[Action]| {
            for action in actions {
                match action {
                    Action::Finish(_) => ends += 1,
                    Action::Offer { fence, .. } => fences.push(*fence),
                    _ => {}
                }
            }
        };
        let mut next = 1;
        count(&life.handle(peers(&["a", "b", "c", "d", "e", "f", "g"]), now, lease(next), &mut gate));
        for (event, wait) in history {
            now += Duration::from_millis(wait);
            next = u64::from(life.attempts()) + 1;
            count(&life.handle(event, now, lease(next), &mut gate));
            prop_assert!(life.next_tick() > now || now >= deadline);
        }
        now += Duration::from_secs(1_000);
        count(&life.handle(Event::Tick, now, lease(next + 1), &mut gate));
        prop_assert_eq!(ends, 1);
        prop_assert!(fences.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(fences.len() <= 5);
    }
}
