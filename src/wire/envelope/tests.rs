//! Envelopes that are believed, and the many that must not be.

use std::collections::BTreeMap;

use serde_bytes::{ByteArray, ByteBuf};

use super::*;
use crate::{
    model::{Advert, Roles},
    wire::{
        body::Ack,
        seal::Secret,
        testing::{NOW, Node},
    },
};

const NET: &str = "lab";

struct Case {
    from: Node,
    me: Node,
}

impl Case {
    fn new() -> Self {
        Self {
            from: Node::new(1),
            me: Node::new(2),
        }
    }

    fn header(&self, kind: Kind) -> Header {
        let in_session = matches!(kind, Kind::Frame | Kind::Bye);
        let is_advert = kind == Kind::Advert;
        Header {
            v: VERSION,
            net: NET.to_owned(),
            kind,
            from: Address::node(self.from.peer),
            kid: (!in_session).then(|| self.from.kid()),
            to: (!is_advert).then(|| Address::node(self.me.peer)),
            session: in_session.then(|| ByteArray::new([9; 32])),
            seq: in_session.then_some(1),
            ts: is_advert.then_some(NOW),
            exp: is_advert.then_some(NOW + 90),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            nonce: ByteArray::new([1; 32]),
            echo: None,
            binding: self.from.binding.clone(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".to_owned()],
            streams: true,
        }
    }

    fn frame(&self) -> Frame {
        Frame {
            messages: vec![(1, ByteBuf::from(vec![1, 2, 3]))],
            ack: Ack::default(),
        }
    }

    fn announcement(&self) -> Announcement {
        Announcement {
            binding: self.from.binding.clone(),
            advert: Advert {
                boot: self.from.binding.body.boot,
                roles: Roles {
                    executor: true,
                    scheduler: true,
                },
                runtimes: BTreeMap::from([("wasm".to_owned(), vec!["wasi".to_owned()])]),
                slots: 2,
                free: 1,
                warm: Vec::new(),
                labels: BTreeMap::new(),
                addresses: Vec::new(),
                agent: "timerose/0.1.0".to_owned(),
                period_ms: 30_000,
            },
        }
    }

    fn signed<B: Serialize>(&self, header: Header, body: &B) -> Vec<u8> {
        sign(&header, body, &self.from.key).unwrap()
    }

    /// Sealed where the header has what that takes.
    fn sealed(&self, header: Header, frame: &Frame) -> Vec<u8> {
        if header.seq.is_none() {
            return self.signed(header, frame);
        }
        seal(&header, frame, &self.keys(0)).unwrap()
    }

    /// The session's keys, of the sender (0) or the receiver (1).
    fn keys(&self, side: u8) -> Keys {
        let (own, other) = (Secret::of([side; 32]), Secret::of([1 - side; 32]));
        own.agree(&other.public(), &ByteArray::new([9; 32]))
            .unwrap()
    }

    /// The frame in an envelope.
    fn frame_in(&self, bytes: &[u8]) -> Result<Frame, Refusal> {
        match self.open(bytes)? {
            Content::Frame(sealed) => sealed.frame(&self.keys(1)),
            other => panic!("{other:?}"),
        }
    }

    fn open(&self, bytes: &[u8]) -> Result<Content, Refusal> {
        self.open_at(bytes, NOW)
    }

    fn open_at(&self, bytes: &[u8], now: u64) -> Result<Content, Refusal> {
        let me = Address::node(self.me.peer);
        parse(bytes)?.open(&Expect {
            net: NET,
            me: &me,
            key: &self.me.key.verifying_key(),
            now,
        })
    }
}

#[test]
fn every_kind_comes_through() {
    let case = Case::new();
    let hello = case.signed(case.header(Kind::Hello), &case.hello());
    assert!(matches!(case.open(&hello), Ok(Content::Hello(_))));
    let frame = case.sealed(case.header(Kind::Frame), &case.frame());
    assert_eq!(case.frame_in(&frame), Ok(case.frame()));
    let bye = seal(&case.header(Kind::Bye), &Empty {}, &case.keys(0)).unwrap();
    let Ok(Content::Bye(bye)) = case.open(&bye) else {
        panic!("no farewell");
    };
    assert_eq!(bye.farewell(&case.keys(1)), Ok(()));
    let advert = case.signed(case.header(Kind::Advert), &case.announcement());
    assert!(matches!(case.open(&advert), Ok(Content::Advert(_, NOW))));
}

#[test]
fn a_probe_is_believed_by_its_own_sender_only() {
    let case = Case::new();
    let me = Address::node(case.from.peer);
    let header = Header {
        to: Some(me.clone()),
        seq: Some(4),
        ..case.header(Kind::Probe)
    };
    let envelope = parse(&case.signed(header.clone(), &Empty {})).unwrap();
    let open = |own: &Node| {
        let (net, me, key, now) = (NET, &me, &own.key.verifying_key(), NOW);
        envelope.open(&Expect { net, me, key, now })
    };
    assert!(matches!(open(&case.from), Ok(Content::Probe(4))));
    assert_eq!(open(&case.me).unwrap_err(), Refusal::Signature);
    let foreign = Header {
        to: Some(Address::node(case.me.peer)),
        ..header
    };
    let foreign = case.signed(foreign, &Empty {});
    assert_eq!(case.open(&foreign).unwrap_err(), Refusal::Malformed);
}

/// What is changed in an otherwise good envelope before it is sealed.
type Change = fn(&mut Header, &mut Frame);

#[test]
fn sealed_envelopes_with_a_wrong_header_or_body_are_refused_with_their_reason() {
    let changes: [(&str, Change, Refusal); 12] = [
        ("version 2", |h, _| h.v = 2, Refusal::Version),
        ("version 0", |h, _| h.v = 0, Refusal::Version),
        (
            "another mesh",
            |h, _| h.net = "public".to_owned(),
            Refusal::Net,
        ),
        ("no mesh", |h, _| h.net.clear(), Refusal::Net),
        (
            "another receiver",
            |h, _| h.to = Some(h.from.clone()),
            Refusal::Audience,
        ),
        ("no receiver", |h, _| h.to = None, Refusal::Malformed),
        (
            "a key beside the seal",
            |h, _| h.kid = Some(Node::new(1).kid()),
            Refusal::Malformed,
        ),
        (
            "a greeting",
            |h, _| h.kind = Kind::Hello,
            Refusal::Malformed,
        ),
        ("no session", |h, _| h.session = None, Refusal::Malformed),
        ("no number", |h, _| h.seq = None, Refusal::Malformed),
        ("a wall clock", |h, _| h.ts = Some(NOW), Refusal::Malformed),
        (
            "falling ranges",
            |_, f| f.ack.ranges = vec![(9, 8)],
            Refusal::Malformed,
        ),
    ];
    let case = Case::new();
    for (name, change, refusal) in changes {
        let (mut header, mut frame) = (case.header(Kind::Frame), case.frame());
        change(&mut header, &mut frame);
        assert_eq!(
            case.frame_in(&case.sealed(header, &frame)).unwrap_err(),
            refusal,
            "{name}"
        );
    }
}

#[test]
fn greetings_and_adverts_with_a_wrong_binding_or_time_are_refused_with_their_reason() {
    let case = Case::new();
    let other = Node::new(3);
    let hello = |hello: Hello| case.open(&case.signed(case.header(Kind::Hello), &hello));
    let theirs = Hello {
        binding: other.binding.clone(),
        ..case.hello()
    };
    assert_eq!(hello(theirs).unwrap_err(), Refusal::Binding);
    let mut forged = case.hello();
    forged.binding.body.serial += 1;
    assert_eq!(hello(forged).unwrap_err(), Refusal::Binding);
    let past = case
        .from
        .bind(|b| (b.not_before, b.expires) = (NOW - 90_000, NOW - 4_000));
    assert_eq!(
        hello(Hello {
            binding: past,
            ..case.hello()
        })
        .unwrap_err(),
        Refusal::Expired
    );
    let many = Hello {
        addresses: vec![String::new(); 9],
        ..case.hello()
    };
    assert_eq!(hello(many).unwrap_err(), Refusal::Malformed);

    let unsound = Hello {
        nonce: ByteArray::new([0; 32]),
        ..case.hello()
    };
    assert_eq!(hello(unsound).unwrap_err(), Refusal::Unsealable);

    let advert =
        |header: Header, now| case.open_at(&case.signed(header, &case.announcement()), now);
    let header = || case.header(Kind::Advert);
    assert_eq!(advert(header(), NOW + 151).unwrap_err(), Refusal::Expired);
    assert_eq!(advert(header(), NOW - 61).unwrap_err(), Refusal::Expired);
    let long = Header {
        exp: Some(NOW + 601),
        ..header()
    };
    assert_eq!(advert(long, NOW).unwrap_err(), Refusal::Expired);
    let never = Header {
        exp: None,
        ..header()
    };
    assert_eq!(advert(never, NOW).unwrap_err(), Refusal::Malformed);
    let directed = Header {
        to: Some(Address::node(case.me.peer)),
        ..header()
    };
    assert_eq!(advert(directed, NOW).unwrap_err(), Refusal::Malformed);
    let mut other_boot = case.announcement();
    other_boot.advert.boot = other.binding.body.boot;
    let other_boot = case.signed(header(), &other_boot);
    assert_eq!(case.open(&other_boot).unwrap_err(), Refusal::Malformed);
}

#[test]
fn a_key_that_is_not_the_senders_signs_nothing() {
    let (case, other) = (Case::new(), Node::new(3));
    let signed_by = |kid, from| {
        let header = case.header(Kind::Hello);
        let header = Header {
            kid,
            from,
            ..header
        };
        case.open(&case.signed(header, &case.hello())).unwrap_err()
    };
    let from = || Address::node(case.from.peer);
    assert_eq!(signed_by(None, from()), Refusal::Malformed);
    assert_eq!(signed_by(Some(other.kid()), from()), Refusal::Binding);
    let attached = Address::attached(case.from.peer, other.kid());
    assert_eq!(
        signed_by(Some(case.from.kid()), attached),
        Refusal::Malformed
    );
}

#[test]
fn bytes_changed_on_the_way_are_refused_with_their_reason() {
    let case = Case::new();
    let good = case.sealed(case.header(Kind::Frame), &case.frame());
    let refused = |bytes: &[u8]| case.frame_in(bytes).unwrap_err();
    assert_eq!(refused(&[]), Refusal::Malformed);
    assert_eq!(refused(&good[..good.len() - 1]), Refusal::Malformed);
    assert_eq!(refused(&[&good[..], &[0]].concat()), Refusal::Malformed);
    assert_eq!(refused(&vec![0x41; MAX_BYTES + 1]), Refusal::Oversized);

    let changed = |bytes: &[u8], change: fn(&mut Envelope)| {
        let mut envelope = parse(bytes).unwrap();
        change(&mut envelope);
        envelope.encode().unwrap()
    };
    let unsealable: [fn(&mut Envelope); 4] = [
        |e| e.header.seq = Some(2),
        |e| e.header.from = Address::node(Node::new(3).peer),
        |e| e.header.session = Some(ByteArray::new([8; 32])),
        |e| e.parts.body = dagcbor::encode(&Frame::default()).unwrap(),
    ];
    for change in unsealable {
        assert_eq!(refused(&changed(&good, change)), Refusal::Unsealable);
    }
    assert_eq!(
        refused(&changed(&good, |e| e.parts.sig = vec![0; 64])),
        Refusal::Malformed
    );
    let bye = changed(&good, |e| e.header.kind = Kind::Bye);
    let Ok(Content::Bye(bye)) = case.open(&bye) else {
        panic!("no farewell");
    };
    assert_eq!(bye.farewell(&case.keys(1)), Err(Refusal::Unsealable));

    let hello = case.signed(case.header(Kind::Hello), &case.hello());
    let unsigned: [fn(&mut Envelope); 3] = [
        |e| e.parts.sig[0] ^= 1,
        |e| e.parts.sig.truncate(63),
        |e| e.parts.sig.clear(),
    ];
    for change in unsigned {
        assert_eq!(
            case.open(&changed(&hello, change)).unwrap_err(),
            Refusal::Signature
        );
    }

    let mut extra: BTreeMap<String, Ipld> = dagcbor::decode(&good).unwrap();
    extra.insert("more".to_owned(), Ipld::Bool(true));
    assert_eq!(
        refused(&dagcbor::encode(&extra).unwrap()),
        Refusal::Malformed
    );
    let unsorted = [&[0xa3, 0x66], &b"header"[..], &[0xf6]].concat();
    assert_eq!(refused(&unsorted), Refusal::Malformed);
}

#[test]
fn no_single_bit_can_be_changed() {
    let case = Case::new();
    let flipped = |good: &[u8], bit: usize| {
        let mut changed = good.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    };
    let hello = case.signed(case.header(Kind::Hello), &case.hello());
    for bit in 0..hello.len() * 8 {
        assert!(case.open(&flipped(&hello, bit)).is_err(), "bit {bit}");
    }
    let frame = case.sealed(case.header(Kind::Frame), &case.frame());
    for bit in 0..frame.len() * 8 {
        let opened = match case.open(&flipped(&frame, bit)) {
            Ok(Content::Frame(sealed)) => sealed.frame(&case.keys(1)).map(|_| ()),
            Ok(Content::Bye(sealed)) => sealed.farewell(&case.keys(1)),
            other => other.map(|_| ()),
        };
        assert!(opened.is_err(), "bit {bit}");
    }
}

#[test]
fn a_body_over_the_cap_is_refused_before_it_is_sent() {
    let case = Case::new();
    let frame = Frame {
        messages: vec![(1, ByteBuf::from(vec![0; MAX_BYTES]))],
        ack: Ack::default(),
    };
    let refused = seal(&case.header(Kind::Frame), &frame, &case.keys(0));
    assert_eq!(refused, Err(Refusal::Oversized));
}
