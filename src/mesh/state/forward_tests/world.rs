//! Sidecars without Kubo: a network of states on a clock of its own, of which
//! some pairs cannot reach each other.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    mesh::{
        Carrier, Event, Identity,
        session::{DownReason, Patience},
        state::{Origin, Own, State},
    },
    model::{BootId, Message, Piece},
    wire::{
        Address, Refusal,
        body::{Frame, SessionId},
        dagcbor,
        envelope::{self, Envelope, Expect, Header, Kind, VERSION},
        seal::Secret,
        testing::{NOW, Node},
    },
};

const NET: &str = "tests";
/// From one sidecar to another.
const WAY: Duration = Duration::from_millis(3);
pub(super) const STEP: Duration = Duration::from_millis(1);
/// How often it is looked whether Kubo sees somebody.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Side {
    pub(super) state: State,
    pub(super) identity: Identity,
    pub(super) got: Vec<u64>,
    pub(super) downs: Vec<DownReason>,
}

impl Side {
    pub(super) fn new(number: usize, boot: u64) -> Self {
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
            state: State::new(own),
            identity,
            got: Vec::new(),
            downs: Vec::new(),
        }
    }

    pub(super) fn me(&self) -> Address {
        self.state.own.me.clone()
    }
}

/// An envelope under way.
struct Underway {
    due: Instant,
    to: usize,
    bytes: Bytes,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) sides: Vec<Side>,
    /// Pairs between which nothing passes, the lower number first.
    pub(super) apart: BTreeSet<(usize, usize)>,
    pub(super) dead: BTreeSet<usize>,
    wire: VecDeque<Underway>,
    secrets: u64,
    looked: Instant,
    /// The last envelope of each kind that was published by one for another.
    pub(super) recorded: Vec<(usize, usize, Bytes)>,
}

impl World {
    /// So many sidecars, of which those `apart` cannot reach each other.
    pub(super) fn new(count: usize, apart: &[(usize, usize)]) -> Self {
        let now = Instant::now();
        Self {
            now,
            sides: (0..count).map(|number| Side::new(number, 1)).collect(),
            apart: apart.iter().copied().collect(),
            dead: BTreeSet::new(),
            wire: VecDeque::new(),
            secrets: 0,
            looked: now,
            recorded: Vec::new(),
        }
    }

    pub(super) fn chain() -> Self {
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

    pub(super) fn run(&mut self, lasts: Duration) {
        let until = self.now + lasts;
        while self.now < until {
            self.step();
        }
    }

    /// Runs until something is so; fails after a while.
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Duration {
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
            let bytes = item.seal(NET, &me, &self.sides[side].identity).unwrap();
            for relay in &paths.relays {
                self.sides[side]
                    .state
                    .hand_over(relay, &to, &bytes, self.now);
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
        let origin = Origin {
            from: &from,
            via,
            publisher: via.is_none().then_some(from.peer),
        };
        let state = &mut self.sides[side].state;
        match open(state, origin, &envelope, secret.clone(), now) {
            Ok(brought) => brought
                .iter()
                .for_each(|inner| self.take(side, Some(&from), inner)),
            Err(Refusal::Session) if envelope.header.kind == Kind::Frame => {
                state.on_stranger(origin, secret, now);
            }
            Err(_) => {}
        }
    }

    /// A frame that somebody says in the name of who hears it.
    pub(super) fn hears_itself(&mut self, side: usize) -> Refusal {
        let (secret, now, me) = (self.fresh(), self.now, self.sides[side].me());
        let session = SessionId::new([9; 32]);
        let header = Header {
            v: VERSION,
            net: NET.to_owned(),
            kind: Kind::Frame,
            from: me.clone(),
            kid: None,
            to: Some(me.clone()),
            session: Some(session),
            seq: Some(1),
            ts: None,
            exp: None,
        };
        let keys = secret.agree(&self.fresh().public(), &session).unwrap();
        let bytes = envelope::seal(&header, &Frame::default(), &keys).unwrap();
        let origin = Origin {
            from: &me,
            via: None,
            publisher: None,
        };
        let envelope = envelope::parse(&bytes).unwrap();
        let state = &mut self.sides[side].state;
        open(state, origin, &envelope, secret, now).unwrap_err()
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

    pub(super) fn send(&mut self, from: usize, to: usize, id: u64) {
        self.send_bytes(from, to, id, 100);
    }

    pub(super) fn send_bytes(&mut self, from: usize, to: usize, id: u64, data: usize) {
        let to = self.sides[to].me();
        let bytes = message(id, data);
        let state = &mut self.sides[from].state;
        assert_eq!(state.enqueue(&to, (&bytes, false), self.now), Some(true));
    }

    /// The number of the relay through which one speaks to another.
    pub(super) fn via(&self, from: usize, to: usize) -> Option<usize> {
        let to = self.sides[to].me();
        let via = self.sides[from].state.via(&to)?;
        Some(self.number(via))
    }

    pub(super) fn got(&self, side: usize, count: u64) -> bool {
        self.sides[side].got.len() as u64 >= count
    }

    /// Both have each other's messages, each once.
    pub(super) fn assert_got(&self, side: usize, ids: std::ops::Range<u64>) {
        let mut got = self.sides[side].got.clone();
        got.sort_unstable();
        assert_eq!(got, ids.collect::<Vec<_>>());
    }

    /// A sidecar begins anew, as after a SIGKILL.
    pub(super) fn restart(&mut self, side: usize) {
        self.secrets += 1;
        self.sides[side] = Side::new(side, 1 + self.secrets);
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
        key: &Node::new(1).key.verifying_key(),
        now: NOW,
    };
    let content = envelope.open(&expect)?;
    state.hear(origin, content, || secret, now)
}

pub(super) fn message(id: u64, data: usize) -> Bytes {
    let piece = Piece {
        id,
        from: 0,
        data: vec![7; data],
        is_over: false,
    };
    dagcbor::encode(&Message::Piece(piece)).unwrap().into()
}

/// One end, the middle, the other end.
pub(super) const NEAR: usize = 0;
pub(super) const MIDDLE: usize = 1;
pub(super) const FAR: usize = 2;
