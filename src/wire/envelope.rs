//! Envelopes: everything that sidecars publish, signed or sealed.
//!
//! A canonical DAG-CBOR map of byte strings, of at most 256 KiB; the header is
//! canonical DAG-CBOR in one of them, so that what is proved is what came
//! (as in COSE, RFC 9052). Greetings, adverts and probes are `{header, body,
//! sig}`, `sig` being the sidecar key's Ed25519 over `"timerose/env/1\0" ‖
//! header ‖ sha256(body)`. What belongs to a session is `{header, body}`: its
//! seal, under keys that signed greetings agreed on, covers the header too and
//! proves the sender for a fraction of a signature's cost. The cheap checks
//! come first: size, shape, version, mesh, audience, then the proof, and only
//! then is the body believed. Which session lives and which number is new is
//! the session's to judge, which has its keys.

use ed25519_dalek::{SigningKey, VerifyingKey};
use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    Address, KeyId, MAX_BYTES, Refusal,
    binding::{self, Bound},
    body::{Announcement, Empty, Frame, Hello, SessionId},
    dagcbor, key,
    seal::Keys,
};

/// The version this program speaks.
pub const VERSION: u32 = 1;
/// The longest an advert's envelope may be valid, in seconds.
pub const MAX_LIFE_S: u64 = 600;
/// Seconds by which an advert's times may be off.
pub const ADVERT_SKEW_S: u64 = 60;
const DOMAIN: &[u8] = b"timerose/env/1\0";

/// What an envelope is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Greets one sidecar.
    Hello,
    /// Carries messages and acknowledgements of a session.
    Frame,
    /// Ends a session.
    Bye,
    /// Tells the mesh what the sender offers.
    Advert,
    /// Comes back to its sender, to show that its own subscription works.
    Probe,
}

/// What is proved beside the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Always [`VERSION`].
    pub v: u32,
    /// The mesh's name.
    pub net: String,
    /// What it is for.
    pub kind: Kind,
    /// Who sends.
    pub from: Address,
    /// Which of the sender's keys signs, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<KeyId>,
    /// For whom; none of an advert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// What a frame or farewell belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Numbers a session's frames, and probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Unix seconds at which an advert was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<u64>,
    /// Unix seconds at which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
}

/// A parsed envelope that nobody vouches for yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// A claim until [`Self::open`] has checked it.
    pub header: Header,
    parts: Parts,
}

/// An envelope as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(with = "serde_bytes")]
    header: Vec<u8>,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    /// None of what is sealed.
    #[serde(with = "serde_bytes", default, skip_serializing_if = "Vec::is_empty")]
    sig: Vec<u8>,
}

/// Against what an envelope is checked.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The mesh's name.
    pub net: &'a str,
    /// The receiver.
    pub me: &'a Address,
    /// The receiver's own key, which its probes are signed with.
    pub key: &'a VerifyingKey,
    /// Unix seconds.
    pub now: u64,
}

/// What an envelope says. Its sender is proven, but of what is sealed.
#[derive(Clone, Debug)]
pub enum Content {
    /// A greeting and whose it is.
    Hello(Box<(Hello, Bound)>),
    /// A session's traffic.
    Frame(Sealed),
    /// The end of a session.
    Bye(Sealed),
    /// An advert, whose it is, and its time in Unix seconds.
    Advert(Box<(Announcement, Bound)>, u64),
    /// Our own probe's number.
    Probe(u64),
}

/// What belongs to a session, which alone can open it.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Whose keys open it.
    pub session: SessionId,
    /// Numbers what one side seals in a session.
    pub seq: u64,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Sealed {
    /// Opens and checks a frame, whose sender that proves.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`], or what is wrong with the frame.
    pub fn frame(&self, keys: &Keys) -> Result<Frame, Refusal> {
        let frame: Frame = self.open(keys)?;
        frame.check()?;
        Ok(frame)
    }

    /// Opens a farewell, whose sender that proves.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`], or [`Refusal::Malformed`] where it says more.
    pub fn farewell(&self, keys: &Keys) -> Result<(), Refusal> {
        self.open::<Empty>(keys).map(|_| ())
    }

    fn open<B: Serialize + DeserializeOwned>(&self, keys: &Keys) -> Result<B, Refusal> {
        dagcbor::decode(&keys.open(self.seq, &self.header, &self.body)?)
    }
}

/// Encodes, signs and bounds an envelope whose body everybody may read.
///
/// # Errors
/// [`Refusal::Oversized`], or [`Refusal::Unencodable`] in theory.
pub fn sign<B: Serialize>(
    header: &Header,
    body: &B,
    signer: &SigningKey,
) -> Result<Vec<u8>, Refusal> {
    let (header, body) = (dagcbor::encode(header)?, dagcbor::encode(body)?);
    let sig = key::sign(signer, DOMAIN, &signed_bytes(&header, &body));
    bounded(&Parts { header, body, sig })
}

/// Encodes, seals and bounds what belongs to a session, by the number in its
/// header, which no other of this side may have.
///
/// # Errors
/// [`Refusal::Oversized`]; [`Refusal::Unencodable`] without a number.
pub fn seal<B: Serialize>(header: &Header, body: &B, keys: &Keys) -> Result<Vec<u8>, Refusal> {
    let seq = header.seq.ok_or(Refusal::Unencodable)?;
    let header = dagcbor::encode(header)?;
    let body = keys.seal(seq, &header, &dagcbor::encode(body)?)?;
    let sig = Vec::new();
    bounded(&Parts { header, body, sig })
}

fn bounded(parts: &Parts) -> Result<Vec<u8>, Refusal> {
    let bytes = dagcbor::encode(parts)?;
    if bytes.len() <= MAX_BYTES {
        Ok(bytes)
    } else {
        Err(Refusal::Oversized)
    }
}

/// Parses an envelope of whatever sender.
///
/// # Errors
/// [`Refusal::Oversized`], [`Refusal::Malformed`], [`Refusal::NonCanonical`] or
/// [`Refusal::Version`].
pub fn parse(bytes: &[u8]) -> Result<Envelope, Refusal> {
    let read = || {
        let parts: Parts = dagcbor::decode(bytes)?;
        let header: Header = dagcbor::decode(&parts.header)?;
        Ok(Envelope { header, parts })
    };
    match read() {
        Ok(envelope) if envelope.header.v != VERSION => Err(Refusal::Version),
        Err(Refusal::Malformed) if is_of_other_version(bytes) => Err(Refusal::Version),
        read => read,
    }
}

/// A later version may look different in everything but its header's `v`.
fn is_of_other_version(bytes: &[u8]) -> bool {
    let version = || {
        let envelope: Ipld = dagcbor::decode(bytes).ok()?;
        let Ok(Some(Ipld::Bytes(header))) = envelope.get("header") else {
            return None;
        };
        let header: Ipld = dagcbor::decode(header).ok()?;
        match header.get("v") {
            Ok(Some(Ipld::Integer(v))) => Some(*v != i128::from(VERSION)),
            _ => None,
        }
    };
    version().unwrap_or(false)
}

impl Envelope {
    /// The only bytes that are read as it.
    ///
    /// # Errors
    /// [`Refusal::Unencodable`], in theory only.
    #[cfg(any(test, fuzzing))]
    pub fn encode(&self) -> Result<Vec<u8>, Refusal> {
        dagcbor::encode(&Parts {
            header: dagcbor::encode(&self.header)?,
            ..self.parts.clone()
        })
    }

    /// Checks everything but seals and gives the content. Greetings and adverts
    /// bring their keys.
    ///
    /// # Errors
    /// The reason; see [`Refusal`].
    pub fn open(&self, expect: &Expect<'_>) -> Result<Content, Refusal> {
        self.check_header(expect)?;
        let header = &self.header;
        match (header.kind, header.session, header.seq) {
            (Kind::Hello, None, None) => self.open_hello(expect),
            (Kind::Advert, None, None) => self.open_advert(expect),
            (Kind::Frame, Some(session), Some(seq)) => {
                Ok(Content::Frame(self.sealed(session, seq)))
            }
            (Kind::Bye, Some(session), Some(seq)) => Ok(Content::Bye(self.sealed(session, seq))),
            (Kind::Probe, None, Some(seq)) if header.from == *expect.me => {
                self.check_sig(expect.key)?;
                dagcbor::decode::<Empty>(&self.parts.body).map(|_| Content::Probe(seq))
            }
            _ => Err(Refusal::Malformed),
        }
    }

    fn check_header(&self, expect: &Expect<'_>) -> Result<(), Refusal> {
        let header = &self.header;
        if header.net != expect.net {
            return Err(Refusal::Net);
        }
        let is_broadcast = header.kind == Kind::Advert;
        match &header.to {
            None if is_broadcast => {}
            Some(to) if !is_broadcast && to == expect.me => {}
            Some(_) if !is_broadcast => return Err(Refusal::Audience),
            _ => return Err(Refusal::Malformed),
        }
        let is_timed = header.ts.is_some() && header.exp.is_some();
        let is_untimed = header.ts.is_none() && header.exp.is_none();
        let fits = if is_broadcast { is_timed } else { is_untimed };
        if fits && self.names_its_proof() {
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }

    /// What is sealed has no key and no signature, all else both.
    fn names_its_proof(&self) -> bool {
        let (from, kid) = (&self.header.from, &self.header.kid);
        match self.header.kind {
            Kind::Frame | Kind::Bye => kid.is_none() && self.parts.sig.is_empty(),
            _ => kid.is_some() && (from.kid.is_none() || from.kid == *kid),
        }
    }

    fn sealed(&self, session: SessionId, seq: u64) -> Sealed {
        Sealed {
            session,
            seq,
            header: self.parts.header.clone(),
            body: self.parts.body.clone(),
        }
    }

    fn open_hello(&self, expect: &Expect<'_>) -> Result<Content, Refusal> {
        let hello: Hello = dagcbor::decode(&self.parts.body)?;
        hello.check()?;
        let bound = self.check_bound(binding::verify(&hello.binding, expect.now)?)?;
        self.check_sig(&bound.key)?;
        Ok(Content::Hello(Box::new((hello, bound))))
    }

    fn open_advert(&self, expect: &Expect<'_>) -> Result<Content, Refusal> {
        let (Some(ts), Some(exp)) = (self.header.ts, self.header.exp) else {
            return Err(Refusal::Malformed);
        };
        let life = exp.checked_sub(ts).ok_or(Refusal::Malformed)?;
        let times = ts.saturating_sub(ADVERT_SKEW_S)..=exp.saturating_add(ADVERT_SKEW_S);
        if life > MAX_LIFE_S || !times.contains(&expect.now) {
            return Err(Refusal::Expired);
        }
        let said: Announcement = dagcbor::decode(&self.parts.body)?;
        said.check()?;
        let bound = self.check_bound(binding::verify(&said.binding, expect.now)?)?;
        self.check_sig(&bound.key)?;
        Ok(Content::Advert(Box::new((said, bound)), ts))
    }

    /// The binding must be the sender's and of the key that signs.
    fn check_bound(&self, bound: Bound) -> Result<Bound, Refusal> {
        let is_senders =
            bound.peer == self.header.from.peer && Some(&bound.kid) == self.header.kid.as_ref();
        if is_senders {
            Ok(bound)
        } else {
            Err(Refusal::Binding)
        }
    }

    fn check_sig(&self, key: &VerifyingKey) -> Result<(), Refusal> {
        let signed = signed_bytes(&self.parts.header, &self.parts.body);
        key::verify(key, DOMAIN, &signed, &self.parts.sig)
    }
}

fn signed_bytes(header: &[u8], body: &[u8]) -> Vec<u8> {
    [header, Sha256::digest(body).as_slice()].concat()
}

#[cfg(test)]
mod tests;
