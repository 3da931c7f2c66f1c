//! Two peers over a network that loses, repeats and reorders.

mod departure;
mod replay;

use std::collections::HashMap;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::{
    model::BootId,
    wire::{KeyId, seal::Secret},
};

const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(30),
    greeting: Duration::from_secs(10),
    idle: Duration::from_secs(600),
};

/// A source of bits that a test chooses.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn secret(&mut self) -> Secret {
        let mut bits = [0; 32];
        bits[..8].copy_from_slice(&self.roll(1 << 30).to_be_bytes());
        bits[8..16].copy_from_slice(&self.roll(1 << 30).to_be_bytes());
        Secret::of(bits)
    }
}

struct Side {
    party: Party,
    peer: Peer,
    got: HashMap<Bytes, usize>,
    downs: Vec<DownReason>,
}

impl Side {
    fn new(number: u8, boot: u64, now: Instant) -> Self {
        let node = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
        let key = SigningKey::from_bytes(&[number; 32]);
        let party = Party {
            peer: node.public().to_peer_id(),
            kid: KeyId::of(&key.verifying_key()),
            boot: BootId::new(boot, 0),
        };
        let peer = Peer::new(party.clone(), PATIENCE, now);
        Self {
            party,
            peer,
            got: HashMap::new(),
            downs: Vec::new(),
        }
    }

    fn note(&mut self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            if let Notice::Down(reason) = notice {
                self.downs.push(reason);
            }
        }
    }
}

/// What goes wrong, per hundred.
#[derive(Clone, Copy, Debug)]
struct Weather {
    lost: u64,
    doubled: u64,
    jitter_ms: u64,
    room: usize,
}

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plant {
    Nothing,
    NoDedupe,
    NoAck,
}

struct World {
    now: Instant,
    dice: Dice,
    weather: Weather,
    plant: Plant,
    sides: [Side; 2],
    wire: Vec<(Instant, usize, Outgoing)>,
    /// Everything that was ever said, by whom, and to which side.
    recorded: Vec<(usize, Party, Outgoing)>,
}

impl World {
    fn new(seed: u64, weather: Weather, plant: Plant) -> Self {
        let now = Instant::now();
        let sides = [Side::new(1, 1, now), Side::new(2, 1, now)];
        Self {
            now,
            dice: Dice(seed),
            weather,
            plant,
            sides,
            wire: Vec::new(),
            recorded: Vec::new(),
        }
    }

    /// One millisecond passes.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        for side in 0..2 {
            let notice = self.sides[side].peer.tick(self.now);
            self.sides[side].note(notice);
            let fresh = self.dice.secret();
            let peer = &mut self.sides[side].peer;
            let greeting = peer.greeting(&mut || fresh.clone(), self.now);
            if let Some(outgoing) = greeting.or_else(|| peer.traffic(self.now)) {
                self.send(1 - side, &outgoing);
            }
        }
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.wire)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.wire = later;
        let due: Vec<_> = due;
        due.into_iter()
            .for_each(|(_, to, outgoing)| self.deliver(to, outgoing));
    }

    fn send(&mut self, to: usize, outgoing: &Outgoing) {
        let party = self.sides[1 - to].party.clone();
        self.recorded.push((to, party, outgoing.clone()));
        let copies = 1 + u64::from(self.dice.roll(100) < self.weather.doubled);
        for _ in 0..copies {
            if self.dice.roll(100) >= self.weather.lost {
                let delay = 1 + self.dice.roll(self.weather.jitter_ms + 1);
                self.wire.push((
                    self.now + Duration::from_millis(delay),
                    to,
                    outgoing.clone(),
                ));
            }
        }
    }

    fn deliver(&mut self, to: usize, outgoing: Outgoing) {
        let party = self.sides[1 - to].party.clone();
        self.deliver_of(to, party, outgoing);
    }

    fn deliver_of(&mut self, to: usize, party: Party, outgoing: Outgoing) {
        let (fresh, now) = (self.dice.secret(), self.now);
        let side = &mut self.sides[to];
        match outgoing {
            Outgoing::Hello(Greeting { nonce, echo }) => {
                let face = Face { party, nonce };
                let notices = side.peer.on_hello(face, echo, fresh, now);
                side.peer.on_speech(now);
                side.note(notices.unwrap_or_default());
            }
            Outgoing::Frame(departing, _) => {
                let mut frame = departing.frame;
                match self.plant {
                    Plant::NoAck => frame.ack = crate::wire::body::Ack::default(),
                    Plant::NoDedupe => side.peer.link.iter_mut().for_each(Link::forget_received),
                    Plant::Nothing => {}
                }
                let place = (departing.session, departing.seq);
                if let Ok((notices, arrived)) =
                    side.peer.on_frame(place, frame, self.weather.room, now)
                {
                    side.note(notices);
                    for message in arrived {
                        *side.got.entry(message).or_default() += 1;
                    }
                }
            }
            Outgoing::Bye(session, ..) => {
                let notice = side.peer.on_bye(session).ok();
                side.note(notice);
            }
        }
    }

    /// Sends `count` messages each way and waits up to `wait`; gives whether all
    /// came exactly once and both sides know it.
    fn exchange(&mut self, count: usize, wait: Duration) -> Result<(), String> {
        let texts: Vec<_> = (0..count)
            .map(|n| Bytes::from(format!("message {n}")))
            .collect();
        self.sides[0].peer.greet(self.now);
        let end = self.now + wait;
        let mut next = [0; 2];
        while self.now < end {
            let now = self.now;
            for (side, next) in self.sides.iter_mut().zip(&mut next) {
                let by = |n: usize| if n % 3 == 2 { now + RIDE_DELAY } else { now };
                while *next < count && side.peer.enqueue(texts[*next].clone(), by(*next)) {
                    *next += 1;
                }
            }
            self.step();
            let is_done = self
                .sides
                .iter()
                .all(|s| s.got.len() == count && s.peer.is_settled());
            if next == [count; 2] && is_done {
                break;
            }
        }
        let verdict = self
            .sides
            .iter()
            .map(|side| judge(side, &texts))
            .collect::<Result<Vec<_>, _>>();
        verdict.map(|_| ())
    }
}

fn judge(side: &Side, texts: &[Bytes]) -> Result<(), String> {
    if !side.downs.is_empty() {
        return Err(format!("the session broke: {:?}", side.downs));
    }
    if let Some(text) = texts.iter().find(|text| !side.got.contains_key(*text)) {
        return Err(format!("{text:?} was lost"));
    }
    if let Some((text, times)) = side.got.iter().find(|(_, times)| **times != 1) {
        return Err(format!("{text:?} came {times} times"));
    }
    if side.peer.is_settled() {
        Ok(())
    } else {
        Err("something stays unacknowledged".to_owned())
    }
}

const CALM: Weather = Weather {
    lost: 0,
    doubled: 0,
    jitter_ms: 3,
    room: 1_000,
};
const STORM: Weather = Weather {
    lost: 20,
    doubled: 20,
    jitter_ms: 30,
    room: 40,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_message_arrives_exactly_once_while_the_session_lives(
        seed: u64,
        lost in 0..35_u64,
        doubled in 0..40_u64,
        jitter_ms in 0..60_u64,
        room in 1..200_usize,
        count in 1..400_usize,
    ) {
        let weather = Weather { lost, doubled, jitter_ms, room };
        let mut world = World::new(seed, weather, Plant::Nothing);
        // One message at a time, a third of them lost: minutes, but not for ever.
        prop_assert_eq!(world.exchange(count, Duration::from_secs(900)), Ok(()));
    }
}

#[test]
fn the_check_notices_a_receiver_without_deduplication() {
    let mut world = World::new(7, STORM, Plant::NoDedupe);
    let verdict = world.exchange(200, Duration::from_secs(30)).unwrap_err();
    assert!(verdict.contains("times"), "{verdict}");
}

#[test]
fn the_check_notices_a_receiver_without_acknowledgements() {
    let mut world = World::new(7, CALM, Plant::NoAck);
    let verdict = world.exchange(200, Duration::from_secs(10)).unwrap_err();
    assert!(verdict.contains("unacknowledged"), "{verdict}");
}

#[test]
fn a_calm_exchange_repeats_nothing_and_measures_the_round_trip() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(2_000, Duration::from_secs(10)).unwrap();
    let srtt = world.sides[0].peer.srtt().unwrap();
    assert!(
        srtt >= Duration::from_millis(1) && srtt <= Duration::from_millis(12),
        "{srtt:?}"
    );
}

#[test]
fn a_peer_that_falls_silent_is_down_only_if_something_waits() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(1, Duration::from_secs(1)).unwrap();
    world.weather.lost = 100;
    for _ in 0..40_000 {
        world.step();
    }
    assert_eq!(world.sides[0].downs, []);
    let now = world.now;
    world.sides[0]
        .peer
        .enqueue(Bytes::from_static(b"hello?"), now);
    for _ in 0..30_010 {
        world.step();
    }
    assert_eq!(world.sides[0].downs, [DownReason::Silent]);
}

#[test]
fn a_farewell_frees_the_other_side_at_once() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(1, Duration::from_secs(1)).unwrap();
    world.sides[0].peer.leave();
    for _ in 0..10 {
        world.step();
    }
    assert_eq!(world.sides[1].downs, [DownReason::Left]);
}

#[test]
fn a_restarted_peer_voids_the_session_and_messages_flow_again() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(3, Duration::from_secs(1)).unwrap();
    world.sides[0] = Side::new(1, 2, world.now);
    world.sides[1].got.clear();
    world.sides[0].peer.greet(world.now);
    for _ in 0..20 {
        world.step();
    }
    assert_eq!(world.sides[1].downs, [DownReason::Restarted]);
    world.sides[1].downs.clear();
    world.exchange(50, Duration::from_secs(2)).unwrap();
}

#[test]
fn greetings_that_nobody_answers_end() {
    let mut world = World::new(1, Weather { lost: 100, ..CALM }, Plant::Nothing);
    world.sides[0].peer.greet(world.now);
    for _ in 0..10_010 {
        world.step();
    }
    assert_eq!(world.sides[0].downs, [DownReason::Unanswered]);
}

#[test]
fn a_peer_that_speaks_and_hears_nothing_is_deaf_to_us() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.exchange(1, Duration::from_secs(1)).unwrap();
    let now = world.now;
    world.sides[0]
        .peer
        .enqueue(Bytes::from_static(b"unheard"), now);
    for step in 0..8_000 {
        world.wire.retain(|(_, to, _)| *to == 0);
        if step % 500 == 0 {
            world.sides[1]
                .peer
                .enqueue(Bytes::from(format!("chatter {step}")), world.now);
        }
        world.step();
    }
    let a = &world.sides[0];
    assert!(a.peer.is_deaf_to_us(world.now));
    assert_eq!(a.downs, []);
}

#[test]
fn a_peer_that_speaks_to_all_and_answers_no_greeting_is_deaf_to_us() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.sides[0].peer.greet(world.now);
    let began = world.now;
    for step in 0..30_000 {
        world.wire.clear();
        if step == 12_000 {
            world.sides[0].peer.on_speech(world.now);
        }
        world.step();
        let is_deaf = world.sides[0].peer.is_deaf_to_us(world.now);
        let after = world.now - began;
        assert_eq!(is_deaf, after >= Duration::from_secs(17), "{after:?}");
    }
}

#[test]
fn a_peer_that_comes_back_is_greeted_and_not_deaf() {
    let mut world = World::new(1, CALM, Plant::Nothing);
    world.sides[0].peer.greet(world.now);
    for step in 0..30_000 {
        if step < 12_000 {
            world.wire.clear();
        }
        if step == 12_000 {
            world.sides[0].peer.on_speech(world.now);
        }
        world.step();
        assert!(!world.sides[0].peer.is_deaf_to_us(world.now));
    }
    assert!(world.sides[0].peer.is_up());
}
