//! What the ends of a chain, and its middle, do without a Kubo.

mod world;

use std::time::Duration;

use bytes::Bytes;

use self::world::{FAR, MIDDLE, NEAR, STEP, World, message};
use crate::{
    mesh::{MAX_MESSAGE_BYTES, session::DownReason},
    wire::{
        Address, Refusal, dagcbor,
        forward::{Forwarding, MAX_FORWARDED_BYTES},
        testing::Node,
    },
};

#[test]
fn the_ends_of_a_chain_speak_to_each_other_through_its_middle() {
    let mut world = World::chain();
    world.send(NEAR, FAR, 0);
    let took = world.until("it arrives", |w| w.got(FAR, 1));
    assert!(took < Duration::from_millis(900), "{took:?}");
    (1..50).for_each(|id| world.send(NEAR, FAR, id));
    (0..50).for_each(|id| world.send(FAR, NEAR, id));
    world.until("all arrive", |w| w.got(FAR, 50) && w.got(NEAR, 50));
    world.assert_got(FAR, 0..50);
    world.assert_got(NEAR, 0..50);
    assert_eq!(world.via(NEAR, FAR), Some(MIDDLE));
    assert_eq!(world.via(FAR, NEAR), Some(MIDDLE));
    assert!(world.sides[MIDDLE].got.is_empty());
}

#[test]
fn nobody_speaks_to_a_sidecar_in_its_own_name() {
    let mut world = World::chain();
    assert_eq!(world.hears_itself(NEAR), Refusal::Malformed);
}

#[test]
fn nothing_is_forwarded_twice() {
    let mut world = World::new(4, &[(0, 2), (0, 3), (1, 3)]);
    world.send(0, 3, 0);
    world.until("it is given up", |w| !w.sides[0].downs.is_empty());
    assert_eq!(world.sides[0].downs, [DownReason::Unanswered]);
    assert!(world.sides[3].got.is_empty());
}

#[test]
fn a_member_that_forwards_nothing_says_so() {
    let mut world = World::chain();
    world.sides[MIDDLE].state.own.forwards = false;
    world.send(NEAR, FAR, 0);
    world.until("it is given up", |w| !w.sides[NEAR].downs.is_empty());
    let far = world.sides[FAR].me();
    let why = world.sides[NEAR].state.why_not_around(&far).unwrap();
    let middle = world.sides[MIDDLE].me();
    assert_eq!(
        why,
        format!("{middle} forwards nothing (mesh.forward is off there)")
    );
    let counters = &world.sides[MIDDLE].state.counters;
    assert!(counters.forward_refused["off"] > 0 && counters.forwarded == 0);
}

#[test]
fn the_largest_message_arrives() {
    let mut world = World::chain();
    world.send(NEAR, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 1));
    let around = message(1, MAX_MESSAGE_BYTES - 100).len() - (MAX_MESSAGE_BYTES - 100);
    let data = MAX_MESSAGE_BYTES - around;
    assert_eq!(message(1, data).len(), MAX_MESSAGE_BYTES);
    for id in 1..6 {
        world.send_bytes(NEAR, FAR, id, data);
        world.send_bytes(FAR, NEAR, id, data);
    }
    world.until("all arrive", |w| w.got(FAR, 6) && w.got(NEAR, 5));
    world.assert_got(FAR, 0..6);
}

#[test]
fn an_envelope_within_the_bound_fits_into_one_around_it() {
    let inner = Forwarding::Forward {
        to: Address::node(Node::new(1).peer),
        envelope: vec![7; MAX_FORWARDED_BYTES],
    };
    // A frame with the longest acknowledgement, padding, header and tag.
    let others = 64 * 20 + 1_024 + 1_024;
    let around = dagcbor::encode(&inner).unwrap().len() + others;
    assert!(around < crate::wire::MAX_BYTES, "{around}");
}

#[test]
fn traffic_goes_directly_once_the_ends_meet() {
    let mut world = World::chain();
    world.send(NEAR, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 1));
    world.apart.clear();
    let is_direct = |w: &World| w.via(NEAR, FAR).is_none() && w.via(FAR, NEAR).is_none();
    world.until("it is direct", is_direct);
    let before = world.sides[MIDDLE].state.counters.forwarded;
    (1..20).for_each(|id| world.send(NEAR, FAR, id));
    world.until("all arrive", |w| w.got(FAR, 20));
    world.run(Duration::from_secs(5));
    world.assert_got(FAR, 0..20);
    assert!(is_direct(&world) && world.sides[NEAR].downs.is_empty());
    let after = world.sides[MIDDLE].state.counters.forwarded;
    assert!(after - before < 5, "{before} {after}");
}

#[test]
fn a_session_goes_around_when_its_direct_way_breaks_and_comes_back() {
    let mut world = World::new(3, &[]);
    world.send(NEAR, FAR, 0);
    world.send(NEAR, MIDDLE, 0);
    world.until("they are linked", |w| w.got(FAR, 1) && w.got(MIDDLE, 1));
    assert_eq!(world.via(NEAR, FAR), None);
    world.apart.insert((NEAR, FAR));
    world.send(NEAR, FAR, 1);
    let took = world.until("it arrives", |w| w.got(FAR, 2));
    assert!(took < Duration::from_secs(6), "{took:?}");
    let is_around = |w: &World| w.via(NEAR, FAR) == Some(MIDDLE);
    world.until("its answer arrives", is_around);
    world.apart.clear();
    world.until("it is direct", |w| {
        w.via(NEAR, FAR).is_none() && w.via(FAR, NEAR).is_none()
    });
    world.send(FAR, NEAR, 0);
    world.until("it arrives", |w| w.got(NEAR, 1));
    assert!(world.sides[NEAR].downs.is_empty() && world.sides[FAR].downs.is_empty());
}

#[test]
fn a_session_survives_its_relay_where_there_is_another() {
    let mut world = World::new(4, &[(NEAR, FAR)]);
    world.send(NEAR, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 1));
    let relay = world.via(NEAR, FAR).unwrap();
    world.dead.insert(relay);
    for id in 1..10 {
        world.send(NEAR, FAR, id);
        world.send(FAR, NEAR, id - 1);
    }
    let took = world.until("all arrive", |w| w.got(FAR, 10) && w.got(NEAR, 9));
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert_eq!(world.via(NEAR, FAR), Some(4 - relay));
    assert!(!world.sides[NEAR].downs.contains(&DownReason::Silent));
    world.assert_got(FAR, 0..10);
}

#[test]
fn a_session_survives_the_restart_of_its_only_relay() {
    let mut world = World::chain();
    world.send(NEAR, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 1));
    world.dead.insert(MIDDLE);
    (1..10).for_each(|id| world.send(NEAR, FAR, id));
    world.run(Duration::from_secs(5));
    assert!(!world.got(FAR, 2));
    world.restart(MIDDLE);
    let took = world.until("all arrive", |w| w.got(FAR, 10));
    assert!(took < Duration::from_secs(8), "{took:?}");
    world.assert_got(FAR, 0..10);
    // The relay began anew, and nothing else ended.
    assert_eq!(world.sides[NEAR].downs, [DownReason::Restarted]);
}

#[test]
fn an_end_that_restarts_is_found_again_through_the_middle() {
    let mut world = World::chain();
    world.send(NEAR, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 1));
    world.restart(FAR);
    world.send(NEAR, FAR, 1);
    world.until("the restart is seen", |w| {
        w.sides[NEAR].downs == [DownReason::Restarted]
    });
    world.send(NEAR, FAR, 2);
    world.until("it arrives", |w| w.sides[FAR].got.contains(&2));
}

#[test]
fn one_who_sends_too_much_is_refused_and_harms_nobody_else() {
    let mut world = World::new(4, &[(NEAR, FAR), (FAR, 3)]);
    world.send(NEAR, FAR, 0);
    world.send(3, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 2));
    let far = world.sides[FAR].me();
    let middle = world.sides[MIDDLE].me();
    let junk = Bytes::from(vec![7; 64]);
    for _ in 0..1_000 {
        let now = world.now;
        world.sides[NEAR].state.hand_over(&middle, &far, &junk, now);
        world.run(STEP);
    }
    let refused = world.sides[MIDDLE].state.counters.forward_refused.clone();
    assert!(refused["rate"] > 100, "{refused:?}");
    (1..20).for_each(|id| world.send(3, FAR, id));
    let took = world.until("they arrive", |w| w.got(FAR, 21));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_relay_that_has_too_much_waiting_is_waited_for_and_not_left() {
    let mut world = World::chain();
    world.send(NEAR, FAR, 0);
    world.until("they are linked", |w| w.got(FAR, 1));
    let (far, middle) = (world.sides[FAR].me(), world.sides[MIDDLE].me());
    world.run(Duration::from_millis(200));
    world.dead.insert(MIDDLE);
    let junk = Bytes::from(vec![7; 8]);
    // What is under way fills the window, the rest waits behind it.
    for _ in 0..2 {
        let (now, near) = (world.now, &mut world.sides[NEAR].state);
        (0..512).for_each(|_| near.hand_over(&middle, &far, &junk, now));
        world.run(STEP);
    }
    world.send(NEAR, FAR, 1);
    world.run(STEP);
    let turn = world.sides[NEAR].state.turn(|| unreachable!(), world.now);
    assert!(turn.item.is_none(), "{:?}", turn.item);
    assert!(turn.wake > world.now, "it would spin");
    assert_eq!(world.via(NEAR, FAR), Some(MIDDLE));
}

#[test]
fn a_recorded_greeting_moves_no_traffic_to_the_one_who_replays_it() {
    let mut world = World::new(3, &[]);
    world.send(NEAR, FAR, 0);
    world.send(NEAR, MIDDLE, 0);
    world.send(FAR, MIDDLE, 0);
    world.until("they are linked", |w| w.got(FAR, 1) && w.got(MIDDLE, 2));
    world.run(Duration::from_secs(5));
    let from_far = |(from, to, _): &&(usize, usize, Bytes)| *from == FAR && *to == NEAR;
    let recorded: Vec<_> = world.recorded.iter().filter(from_far).cloned().collect();
    let near = world.sides[NEAR].me();
    assert!(!recorded.is_empty());
    for (_, _, bytes) in recorded {
        let envelope = bytes.to_vec();
        let replay = dagcbor::encode(&Forwarding::Forwarded { envelope }).unwrap();
        let state = &mut world.sides[MIDDLE].state;
        state.enqueue(&near, (&replay.into(), false), world.now);
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.via(NEAR, FAR), None);
}
