//! When a message leaves, and how long it counts as under way.

use super::*;

#[test]
fn what_may_wait_rides_with_what_may_not_or_leaves_a_moment_later() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(1, Duration::from_secs(1)).unwrap();
    let (now, peer) = (world.now, &mut world.sides[0].peer);
    let at_once = |peer: &mut Peer| match peer.traffic(now) {
        Some(Outgoing::Frame(departing, _)) => departing.frame.messages.len(),
        _ => 0,
    };
    peer.enqueue(Bytes::from_static(b"may wait"), now + RIDE_DELAY);
    assert_eq!(at_once(peer), 0);
    assert_eq!(peer.next_traffic(now), Some(now + RIDE_DELAY));
    peer.enqueue(Bytes::from_static(b"may not"), now);
    assert_eq!(at_once(peer), 2);
    peer.enqueue(Bytes::from_static(b"alone"), now + RIDE_DELAY);
    assert_eq!(at_once(peer), 0, "what left before it has no say");
}

#[test]
fn what_left_is_under_way_until_it_is_acknowledged() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(1, Duration::from_secs(1)).unwrap();
    let (now, peer) = (world.now, &mut world.sides[0].peer);
    peer.enqueue(Bytes::from_static(b"call"), now);
    assert!(!peer.is_under_way(), "it waits in the queue");
    world.step();
    assert!(world.sides[0].peer.is_under_way());
    for _ in 0..20 {
        world.step();
    }
    assert!(!world.sides[0].peer.is_under_way());
}
