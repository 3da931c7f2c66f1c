//! Whatever was recorded, said again by somebody else: it changes nothing.

use super::*;

/// Says all that was ever recorded again, in a drawn order, while time goes on
/// and every answer reaches the other side.
fn say_again(world: &mut World) {
    let mut recorded = world.recorded.clone();
    while !recorded.is_empty() {
        let drawn = world.dice.roll(recorded.len() as u64);
        let (to, party, outgoing) = recorded.swap_remove(drawn as usize);
        world.deliver_of(to, party, outgoing);
        world.step();
    }
    (0..200).for_each(|_| world.step());
}

fn sessions(world: &World) -> [Option<SessionId>; 2] {
    [0, 1].map(|side: usize| world.sides[side].peer.handshake.session())
}

/// An exchange, a farewell, another exchange, a restart, a third.
fn three_sessions(seed: u64) -> World {
    let mut world = World::new(seed, CALM, Plant::Nothing);
    world.exchange(20, Duration::from_secs(5)).unwrap();
    world.sides[0].peer.leave();
    (0..20).for_each(|_| world.step());
    start_anew(&mut world);
    world.exchange(20, Duration::from_secs(5)).unwrap();
    world.sides[1] = Side::new(2, 2, world.now);
    world.sides[1].peer.greet(world.now);
    (0..50).for_each(|_| world.step());
    start_anew(&mut world);
    world.exchange(20, Duration::from_secs(5)).unwrap();
    world
}

fn start_anew(world: &mut World) {
    for side in &mut world.sides {
        side.got.clear();
        side.downs.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_living_session_outlives_everything_that_was_ever_said(seed: u64) {
        let mut world = three_sessions(seed);
        let (before, got) = (sessions(&world), world.sides[1].got.clone());
        prop_assert!(before[0].is_some() && before[0] == before[1]);
        for _ in 0..3 {
            say_again(&mut world);
            prop_assert_eq!(sessions(&world), before);
        }
        prop_assert_eq!(&world.sides[1].got, &got);
        prop_assert!(world.sides.iter().all(|side| side.downs.is_empty()));
        start_anew(&mut world);
        prop_assert_eq!(world.exchange(20, Duration::from_secs(5)), Ok(()));
    }

    #[test]
    fn two_that_have_no_session_find_one_whatever_is_said_again(seed: u64) {
        let mut world = three_sessions(seed);
        world.sides[0].peer.leave();
        (0..20).for_each(|_| world.step());
        start_anew(&mut world);
        world.sides[0].peer.greet(world.now);
        say_again(&mut world);
        let after = sessions(&world);
        prop_assert!(after[0].is_some() && after[0] == after[1]);
    }
}

#[test]
fn a_side_that_died_does_not_live_on_in_what_it_said() {
    let mut world = three_sessions(7);
    let now = world.now;
    world.sides[0]
        .peer
        .enqueue(Bytes::from_static(b"hello?"), now);
    let (began, recorded) = (world.now, world.recorded.clone());
    while world.sides[0].downs.is_empty() {
        let (to, party, outgoing) = &recorded[world.dice.roll(recorded.len() as u64) as usize];
        if *to == 0 && !matches!(outgoing, Outgoing::Bye(..)) {
            world.deliver_of(0, party.clone(), outgoing.clone());
        }
        world.wire.clear();
        world.step();
    }
    let lived = world.now - began;
    assert_eq!(world.sides[0].downs, [DownReason::Silent]);
    assert!(lived < Duration::from_secs(31), "{lived:?}");
}

#[test]
fn old_greetings_are_answered_fifty_times_a_second_at_most() {
    let mut world = three_sessions(9);
    let hellos: Vec<_> = world
        .recorded
        .iter()
        .filter(|(to, _, outgoing)| *to == 1 && matches!(outgoing, Outgoing::Hello(_)))
        .cloned()
        .collect();
    let before = world.recorded.len();
    for step in 0..1_000 {
        let (to, party, outgoing) = hellos[step % hellos.len()].clone();
        world.deliver_of(to, party, outgoing);
        world.step();
    }
    let said = world.recorded.len() - before;
    assert!(said < 250, "1,000 greetings made both say {said} envelopes");
}
