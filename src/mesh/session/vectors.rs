//! Bytes that a second implementation must make and understand, from fixed
//! keys: `docs/vectors.json`, described in `docs/protocol.md`.
//!
//! The file is made anew by the test that finds it stale; a change of it is a
//! change of the protocol.

use serde_bytes::ByteBuf;
use serde_json::{Value, json};

use super::handshake::{Face, Handshake, Heard, Party};
use crate::{
    model::{Call, ContentKey, Message},
    wire::{
        Address,
        binding::signing_bytes,
        block::{DAG_CBOR, RAW},
        body::{Ack, Empty, Frame, Hello, SessionId},
        cid_of, dagcbor,
        envelope::{self, Content, Expect, Header, Kind, VERSION},
        hex,
        private::{KeyedDigest, Opening, Part, SALT_BYTES, Sealing},
        receipt,
        seal::{Keys, Secret},
        testing::{NOW, Node, receipt as unsigned},
    },
};

const NET: &str = "vectors";

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    multibase::Base::Base16Lower.decode(text).unwrap()
}

/// One side: its node, and the fresh key of its greeting.
struct Side {
    node: Node,
    bits: [u8; 32],
}

impl Side {
    fn new(number: u8) -> Self {
        Self {
            node: Node::new(number),
            bits: [number + 50; 32],
        }
    }

    fn secret(&self) -> Secret {
        Secret::of(self.bits)
    }

    fn party(&self) -> Party {
        Party {
            peer: self.node.peer,
            kid: self.node.kid(),
            boot: self.node.binding.body.boot,
        }
    }

    fn header(&self, kind: Kind, to: &Self, place: Option<(SessionId, u64)>) -> Header {
        let (session, seq) = place.unzip();
        Header {
            v: VERSION,
            net: NET.to_owned(),
            kind,
            from: Address::node(self.node.peer),
            kid: place.is_none().then(|| self.node.kid()),
            to: Some(Address::node(to.node.peer)),
            session,
            seq,
            ts: None,
            exp: None,
        }
    }

    fn hello(&self, to: &Self) -> Vec<u8> {
        let body = Hello {
            nonce: self.secret().public(),
            echo: None,
            binding: self.node.binding.clone(),
            addresses: vec![format!("/ip4/192.0.2.1/tcp/4001/p2p/{}", self.node.peer)],
            streams: true,
        };
        envelope::sign(&self.header(Kind::Hello, to, None), &body, &self.node.key).unwrap()
    }

    fn keys(&self, with: &Self, session: &SessionId) -> Keys {
        self.secret()
            .agree(&with.secret().public(), session)
            .unwrap()
    }

    fn json(&self) -> Value {
        json!({
            "node_key_seed": hex(self.node.node_key.clone().try_into_ed25519().unwrap().secret().as_ref()),
            "peer": self.node.peer.to_string(),
            "sidecar_key_seed": hex(&self.node.key.to_bytes()),
            "kid": self.node.kid().to_string(),
            "boot": self.node.binding.body.boot.to_string(),
            "binding_to_sign": hex(&signing_bytes(&self.node.binding.body).unwrap()),
            "binding": hex(&dagcbor::encode(&self.node.binding).unwrap()),
            "greeting_key": hex(&self.bits),
            "greeting_public": hex(self.secret().public().as_slice()),
        })
    }
}

/// The session of two sides that greeted each other with these keys.
fn session(a: &Side, b: &Side) -> SessionId {
    let mut handshake = Handshake::new(a.party());
    let ours = handshake.greeting(a.secret());
    let theirs = Face {
        party: b.party(),
        nonce: b.secret().public(),
    };
    match handshake.on_hello(theirs, Some(ours.nonce), a.secret()) {
        Heard::Established(id) => id,
        other => panic!("{other:?}"),
    }
}

fn frame() -> Frame {
    let message = Message::Cancel {
        lease: crate::model::LeaseId::new(NOW, 2),
    };
    Frame {
        messages: vec![(1, ByteBuf::from(dagcbor::encode(&message).unwrap()))],
        ack: Ack {
            upto: 3,
            ranges: vec![(5, 6)],
            echo: 4,
            held_us: 250,
        },
    }
}

fn call() -> Call {
    Call {
        function: cid_of(DAG_CBOR, b"function"),
        entry: Some("main".to_owned()),
        args: vec![ipld_core::ipld::Ipld::Integer(7)],
        input: Some(cid_of(0x55, b"input")),
        fuel: None,
        nonce: None,
    }
}

const SALT: [u8; SALT_BYTES] = [4; SALT_BYTES];

fn content_key() -> ContentKey {
    ContentKey::of([3; 32])
}

fn sealed(part: Part, plain: &[u8]) -> Vec<u8> {
    let mut sealing = Sealing::new(&content_key(), part, SALT).unwrap();
    let begun = sealing.push(plain).unwrap();
    [begun, sealing.end().unwrap()].concat()
}

/// More than a chunk: the bytes 0 to 250, again and again.
fn long() -> Vec<u8> {
    (0..=250).cycle().take(70_000).collect()
}

/// Content of a private invocation.
fn private() -> Value {
    let plain = b"content";
    let mut digest = KeyedDigest::new(&content_key()).unwrap();
    digest.push(plain);
    json!({
        "content_key": hex(content_key().bits()),
        "salt": hex(&SALT),
        "plain": hex(plain),
        "digest": hex(&digest.end()),
        "sealed_input": hex(&sealed(Part::Input, plain)),
        "sealed_output": hex(&sealed(Part::Output, plain)),
        "sealed_logs": hex(&sealed(Part::Logs, plain)),
        "long_plain": "70,000 bytes, the one at i being i mod 251",
        "long_sealed_output_cid": cid_of(RAW, &sealed(Part::Output, &long())).to_string(),
    })
}

fn vectors() -> Value {
    let (a, b) = (Side::new(1), Side::new(2));
    let session = session(&a, &b);
    let header = a.header(Kind::Frame, &b, Some((session, 9)));
    let header_bytes = dagcbor::encode(&header).unwrap();
    let plain = dagcbor::encode(&frame()).unwrap();
    let keys = a.keys(&b, &session);
    let sealed = keys.seal(9, &header_bytes, &plain).unwrap();
    let bye = a.header(Kind::Bye, &b, Some((session, u64::MAX)));
    let signed = receipt::sign(unsigned(&b.node), &b.node.key).unwrap();
    let signed = dagcbor::encode(&signed).unwrap();
    let call = dagcbor::encode(&call()).unwrap();
    json!({
        "now": NOW,
        "net": NET,
        "a": a.json(),
        "b": b.json(),
        "hello_a_to_b": hex(&a.hello(&b)),
        "session": hex(session.as_slice()),
        "frame_header": hex(&header_bytes),
        "frame": hex(&plain),
        "frame_sealed": hex(&sealed),
        "frame_a_to_b": hex(&envelope::seal(&header, &frame(), &keys).unwrap()),
        "bye_a_to_b": hex(&envelope::seal(&bye, &Empty {}, &keys).unwrap()),
        "call": hex(&call),
        "call_cid": cid_of(DAG_CBOR, &call).to_string(),
        "receipt_of_b": hex(&signed),
        "receipt_cid": cid_of(DAG_CBOR, &signed).to_string(),
        "private": private(),
    })
}

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/vectors.json")
}

#[test]
fn the_published_bytes_are_what_this_program_makes() {
    let made = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
    let published = std::fs::read_to_string(path()).unwrap_or_default();
    if published != made {
        std::fs::write(path(), &made).unwrap();
        panic!("docs/vectors.json was stale: the protocol changed; the file was made anew");
    }
}

/// The other way: the published bytes alone lead to the frame.
#[test]
fn the_published_bytes_are_understood() {
    let published: Value = serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap();
    let (a, b) = (Side::new(1), Side::new(2));
    let me = Address::node(b.node.peer);
    let expect = Expect {
        net: NET,
        me: &me,
        key: &b.node.key.verifying_key(),
        now: NOW,
    };
    let open = |name: &str| {
        let envelope = envelope::parse(&bytes(&published[name])).unwrap();
        envelope.open(&expect).unwrap()
    };
    assert!(matches!(open("hello_a_to_b"), Content::Hello(_)));
    let (Content::Bye(bye), Content::Frame(sealed)) = (open("bye_a_to_b"), open("frame_a_to_b"))
    else {
        panic!("no farewell or no frame");
    };
    let keys = b.keys(&a, &sealed.session);
    assert_eq!(sealed.frame(&keys).unwrap(), frame());
    assert_eq!((sealed.seq, bye.farewell(&keys)), (9, Ok(())));
    let private = &published["private"];
    let mut opening = Opening::new(&content_key(), Part::Output);
    let begun = opening.push(&bytes(&private["sealed_output"])).unwrap();
    let opened = [begun, opening.end().unwrap()].concat();
    assert_eq!(opened, bytes(&private["plain"]));
    let (receipt, verified) = receipt::open(&bytes(&published["receipt_of_b"])).unwrap();
    assert_eq!((verified.executor, receipt.attempt), (b.node.peer, 1));
}
