//! Sidecars without Kubo, of which some cannot reach each other.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::*;
use crate::{
    mesh::{Identity, MAX_MESSAGE_BYTES, session::DownReason},
    model::{BootId, Message, Piece},
    wire::{
        Refusal, dagcbor,
        envelope::{self, Envelope, Expect, Kind},
        forward::{Forwarding, MAX_FORWARDED_BYTES},
        testing::{NOW, Node},
    },
};

const NET: &str = "tests";
/// From one sidecar to another.
const WAY: Duration = Duration::from_millis(3);
const STEP: Duration = Duration::from_millis(1);
/// How often it is looked whether Kubo sees somebody.
const LOOK: Duration = Duration::from_secs(1);

struct Side {
    state: State,
    identity: Identity,
    got: Vec<u64>,
    downs: Vec<DownReason>,
}

impl Side {
    fn new(number: usize, boot: u64, now: Instant) -> Self {
        let node = Node::new(u8::try_from(number + 1).unwrap());
        let binding = node.bind(|body| body.boot = BootId::new(NOW * 1_000 + boot, 7));
        let identity = Identity::of_node(&node, binding);
        let own = Own {
            me: Address::node(node.peer),
            party: identity.party(),
            carrier: Carrier::Auto,
            forwards: true,
            patience: Patience {
                silence: Duration::from_secs(30),
                greeting: Duration::from_secs(10),
                idle: Duration::from_secs(900),
            },
            advert_interval: Duration::from_secs(30),
        };
        Self {
            state: State::new(own, now),
            identity,
            got: Vec::new(),
            downs: Vec::new(),
        }
    }

    fn me(&self) -> Address {
        self.state.own.me.clone()
    }
}

/// An envelope under way.
struct Underway {
    due: Instant,
    to: usize,
    bytes: Bytes,
}

struct World {
    now: Instant,
    sides: Vec<Side>,
    /// Pairs between which nothing passes, the lower number first.
    apart: BTreeSet<(usize, usize)>,
    dead: BTreeSet<usize>,
    wire: VecDeque<Underway>,
    secrets: u64,
    looked: Instant,
    /// The last envelope of each kind that was published by one for another.
    recorded: Vec<(usize, usize, Bytes)>,
}

impl World {
    /// So many sidecars, of which those `apart` cannot reach each other.
    fn new(count: usize, apart: &[(usize, usize)]) -> Self {
        let now = Instant::now();
        Self {
            now,
            sides: (0..count).map(|number| Side::new(number, 1, now)).collect(),
            apart: apart.iter().copied().collect(),
            dead: BTreeSet::new(),
            wire: VecDeque::new(),
            secrets: 0,
            looked: now,
            recorded: Vec::new(),
        }
    }

    fn chain() -> Self {
        Self::new(3, &[(NEAR, FAR)])
    }

    fn passes(&self, one: usize, other: usize) -> bool {
        let pair = (one.min(other), one.max(other));
        !self.apart.contains(&pair) && !self.dead.contains(&one) && !self.dead.contains(&other)
    }

    fn fresh(&mut self) -> Secret {
        self.secrets += 1;
        let mut bits = [9; 32];
        bits[..8].copy_from_slice(&self.secrets.to_be_bytes());
        Secret::of(bits)
    }

    fn number(&self, address: &Address) -> usize {
        let found = self.sides.iter().position(|side| side.me() == *address);
        found.unwrap()
    }

    fn run(&mut self, lasts: Duration) {
        let until = self.now + lasts;
        while self.now < until {
            self.step();
        }
    }

    /// Runs until something is so; fails after a while.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Duration {
        let began = self.now;
        while !is_so(self) {
            assert!(self.now < began + Duration::from_secs(40), "never: {what}");
            self.step();
        }
        self.now - began
    }

    fn step(&mut self) {
        self.now += STEP;
        for side in 0..self.sides.len() {
            if !self.dead.contains(&side) {
                self.errands(side);
                self.speak(side);
                self.note(side);
            }
        }
        while self.wire.front().is_some_and(|sent| sent.due <= self.now) {
            let Underway { to, bytes, .. } = self.wire.pop_front().unwrap();
            if !self.dead.contains(&to) {
                self.take(to, None, &bytes);
            }
        }
        if self.now >= self.looked + LOOK {
            self.looked = self.now;
        }
    }

    /// What the tasks beside the state do.
    fn errands(&mut self, side: usize) {
        let now = self.now;
        let others = (0..self.sides.len()).filter(|other| *other != side);
        let near: Vec<Address> = others
            .filter(|other| self.passes(side, *other))
            .map(|other| self.sides[other].me())
            .collect();
        let state = &mut self.sides[side].state;
        let is_time = now >= self.looked + LOOK;
        if state.wants_relays(now) && (is_time || state.counters.relayed == 0) {
            state.meet(&near, now);
        }
        for to in state.take_to_meet() {
            if near.contains(&to) {
                state.greet_neighbour(&to, now);
            }
        }
        if is_time {
            for to in state.around() {
                state.on_seen(&to, near.contains(&to), now);
            }
        }
    }

    fn speak(&mut self, side: usize) {
        loop {
            let secret = self.fresh();
            let state = &mut self.sides[side].state;
            let Some((item, paths)) = state.turn(|| secret.clone(), self.now).item else {
                return;
            };
            let to = item.receiver().cloned().unwrap();
            let me = self.sides[side].me();
            let (_, bytes) = item.seal(NET, &me, &self.sides[side].identity).unwrap();
            for relay in &paths.relays {
                self.sides[side].state.hand_over(relay, &to, &bytes);
            }
            let receiver = self.number(&to);
            if paths.is_published && self.passes(side, receiver) {
                self.recorded.push((side, receiver, bytes.clone()));
                let due = self.now + WAY;
                let to = receiver;
                self.wire.push_back(Underway { due, to, bytes });
            }
        }
    }

    /// Takes in an envelope, and those in it.
    fn take(&mut self, side: usize, via: Option<&Address>, bytes: &[u8]) {
        let Ok(envelope) = envelope::parse(bytes) else {
            return;
        };
        let secret = self.fresh();
        let now = self.now;
        let from = envelope.header.from.clone();
        let origin = Origin { from: &from, via };
        let state = &mut self.sides[side].state;
        match open(state, origin, &envelope, secret.clone(), now) {
            Ok(brought) => brought
                .iter()
                .for_each(|inner| self.take(side, Some(&from), inner)),
            Err(Refusal::Session | Refusal::UnknownKey) if envelope.header.kind == Kind::Frame => {
                state.on_stranger(origin, secret, now);
            }
            Err(_) => {}
        }
    }

    fn note(&mut self, side: usize) {
        let side = &mut self.sides[side];
        for event in side.state.events.drain(..) {
            match event {
                Event::Message {
                    message: Message::Piece(piece),
                    ..
                } => side.got.push(piece.id),
                Event::Down(_, reason) => side.downs.push(reason),
                _ => {}
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, id: u64) {
        self.send_bytes(from, to, id, 100);
    }

    fn send_bytes(&mut self, from: usize, to: usize, id: u64, data: usize) {
        let to = self.sides[to].me();
        let bytes = message(id, data);
        let state = &mut self.sides[from].state;
        assert_eq!(state.enqueue(&to, &bytes, self.now), Some(true));
    }

    /// The number of the relay through which one speaks to another.
    fn via(&self, from: usize, to: usize) -> Option<usize> {
        let to = self.sides[to].me();
        let via = self.sides[from].state.via(&to)?;
        Some(self.number(via))
    }

    fn got(&self, side: usize, count: u64) -> bool {
        self.sides[side].got.len() as u64 >= count
    }

    /// Both have each other's messages, each once.
    fn assert_got(&self, side: usize, ids: std::ops::Range<u64>) {
        let mut got = self.sides[side].got.clone();
        got.sort_unstable();
        assert_eq!(got, ids.collect::<Vec<_>>());
    }

    /// A sidecar begins anew, as after a SIGKILL.
    fn restart(&mut self, side: usize) {
        self.secrets += 1;
        self.sides[side] = Side::new(side, 1 + self.secrets, self.now);
        self.dead.remove(&side);
    }
}

fn open(
    state: &mut State,
    origin: Origin<'_>,
    envelope: &Envelope,
    secret: Secret,
    now: Instant,
) -> Result<Vec<Bytes>, Refusal> {
    let me = state.own.me.clone();
    let expect = Expect {
        net: NET,
        me: &me,
        now: NOW,
    };
    let content = envelope.open(&expect, |from, kid| state.key(from, kid))?;
    state.hear(origin, content, secret, now)
}

fn message(id: u64, data: usize) -> Bytes {
    let piece = Piece {
        id,
        from: 0,
        data: vec![7; data],
        is_over: false,
    };
    dagcbor::encode(&Message::Piece(piece)).unwrap().into()
}

const NEAR: usize = 0;
const MIDDLE: usize = 1;
const FAR: usize = 2;

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
    // A frame with the longest acknowledgement, padding, header and signature.
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
        world.sides[NEAR].state.hand_over(&middle, &far, &junk);
        world.run(STEP);
    }
    let refused = world.sides[MIDDLE].state.counters.forward_refused.clone();
    assert!(refused["rate"] > 100, "{refused:?}");
    (1..20).for_each(|id| world.send(3, FAR, id));
    let took = world.until("they arrive", |w| w.got(FAR, 21));
    assert!(took < Duration::from_secs(1), "{took:?}");
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
        state.enqueue(&near, &replay.into(), world.now);
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.via(NEAR, FAR), None);
}
