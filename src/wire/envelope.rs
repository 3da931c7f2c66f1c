//! Envelopes: everything that sidecars publish, signed by the sidecar's key.
//!
//! A canonical DAG-CBOR map `{header, body, sig}` of at most 256 KiB; `sig` is
//! Ed25519 over `"timerose/env/1\0" ‖ canonical header ‖ sha256(body)`. The
//! body of a frame is sealed, and signed after that. The cheap checks come
//! first: size, shape, version, mesh, audience, then the signature, and only
//! then is the body believed. Whether a frame's session lives and its number
//! is new is the session's to judge, which also has the keys to open it.

use ed25519_dalek::{SigningKey, VerifyingKey};
use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize};
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

/// What is signed beside the body.
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
    /// Which of the sender's keys signs.
    pub kid: KeyId,
    /// For whom; none of an advert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// Of a frame and a farewell.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// A claim until [`Self::open`] has checked it.
    pub header: Header,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    #[serde(with = "serde_bytes")]
    sig: Vec<u8>,
}

/// Against what an envelope is checked.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The mesh's name.
    pub net: &'a str,
    /// The receiver.
    pub me: &'a Address,
    /// Unix seconds.
    pub now: u64,
}

/// A body whose sender is proven.
#[derive(Clone, Debug)]
pub enum Content {
    /// A greeting and whose it is.
    Hello(Box<(Hello, Bound)>),
    /// A session's traffic: session, frame number, what only the session opens.
    Frame(SessionId, u64, Sealed),
    /// The end of a session.
    Bye(SessionId),
    /// An advert, whose it is, and its time in Unix seconds.
    Advert(Box<(Announcement, Bound)>, u64),
    /// Our own probe's number.
    Probe(u64),
}

/// A frame that was not opened yet, from a proven sender.
#[derive(Clone, Debug)]
pub struct Sealed {
    header: Vec<u8>,
    seq: u64,
    body: Vec<u8>,
}

impl Sealed {
    /// Opens and checks the frame.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`], or what is wrong with the frame.
    pub fn open(&self, keys: &Keys) -> Result<Frame, Refusal> {
        let frame: Frame = dagcbor::decode(&keys.open(self.seq, &self.header, &self.body)?)?;
        frame.check()?;
        Ok(frame)
    }
}

/// Encodes, signs and bounds an envelope whose body everybody may read.
///
/// # Errors
/// [`Refusal::Oversized`], or [`Refusal::Unencodable`] in theory.
pub fn sign<B: Serialize>(
    header: Header,
    body: &B,
    signer: &SigningKey,
) -> Result<Vec<u8>, Refusal> {
    let named = dagcbor::encode(&header)?;
    finish((header, &named), dagcbor::encode(body)?, signer)
}

/// Encodes, seals, signs and bounds a frame, by the number in its header.
///
/// # Errors
/// [`Refusal::Oversized`]; [`Refusal::Unencodable`] without a number.
pub fn seal(
    header: Header,
    frame: &Frame,
    keys: &Keys,
    signer: &SigningKey,
) -> Result<Vec<u8>, Refusal> {
    let seq = header.seq.ok_or(Refusal::Unencodable)?;
    let named = dagcbor::encode(&header)?;
    let body = keys.seal(seq, &named, &dagcbor::encode(frame)?)?;
    finish((header, &named), body, signer)
}

fn finish(
    (header, named): (Header, &[u8]),
    body: Vec<u8>,
    signer: &SigningKey,
) -> Result<Vec<u8>, Refusal> {
    let sig = key::sign(signer, DOMAIN, &signed_bytes(named, &body));
    let bytes = dagcbor::encode(&Envelope { header, body, sig })?;
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
    let envelope: Envelope = dagcbor::decode(bytes).map_err(|refusal| {
        if is_of_other_version(bytes, refusal) {
            Refusal::Version
        } else {
            refusal
        }
    })?;
    if envelope.header.v == VERSION {
        Ok(envelope)
    } else {
        Err(Refusal::Version)
    }
}

/// A later version may look different in everything but `header.v`.
fn is_of_other_version(bytes: &[u8], refusal: Refusal) -> bool {
    let version = || {
        let value: Ipld = dagcbor::decode(bytes).ok()?;
        let Ok(Some(Ipld::Integer(v))) = value.get("header").ok()??.get("v") else {
            return None;
        };
        Some(*v != i128::from(VERSION))
    };
    refusal == Refusal::Malformed && version().unwrap_or(false)
}

impl Envelope {
    /// Checks everything and gives the content. `key_of` knows the keys of
    /// sessions; greetings and adverts bring their own.
    ///
    /// # Errors
    /// The reason; see [`Refusal`].
    pub fn open(
        &self,
        expect: &Expect<'_>,
        key_of: impl FnOnce(&Address, &KeyId) -> Option<VerifyingKey>,
    ) -> Result<Content, Refusal> {
        self.check_header(expect)?;
        let header = &self.header;
        match (header.kind, header.session, header.seq) {
            (Kind::Hello, None, None) => self.open_hello(expect),
            (Kind::Advert, None, None) => self.open_advert(expect),
            (Kind::Frame, Some(session), Some(seq)) => {
                let sealed = Sealed {
                    header: self.check_key(key_of)?,
                    seq,
                    body: self.body.clone(),
                };
                Ok(Content::Frame(session, seq, sealed))
            }
            (Kind::Bye, Some(session), Some(_)) => self
                .open_with::<Empty>(key_of)
                .map(|_| Content::Bye(session)),
            (Kind::Probe, None, Some(seq)) if header.from == *expect.me => {
                self.open_with::<Empty>(key_of).map(|_| Content::Probe(seq))
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
        let is_own = header
            .from
            .kid
            .as_ref()
            .is_none_or(|kid| *kid == header.kid);
        let fits = if is_broadcast { is_timed } else { is_untimed };
        if fits && is_own {
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }

    fn open_hello(&self, expect: &Expect<'_>) -> Result<Content, Refusal> {
        let hello: Hello = dagcbor::decode(&self.body)?;
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
        let said: Announcement = dagcbor::decode(&self.body)?;
        said.check()?;
        let bound = self.check_bound(binding::verify(&said.binding, expect.now)?)?;
        self.check_sig(&bound.key)?;
        Ok(Content::Advert(Box::new((said, bound)), ts))
    }

    /// The binding must be the sender's and of the key that signs.
    fn check_bound(&self, bound: Bound) -> Result<Bound, Refusal> {
        let is_senders = bound.peer == self.header.from.peer && bound.kid == self.header.kid;
        if is_senders {
            Ok(bound)
        } else {
            Err(Refusal::Binding)
        }
    }

    fn open_with<B: Serialize + serde::de::DeserializeOwned>(
        &self,
        key_of: impl FnOnce(&Address, &KeyId) -> Option<VerifyingKey>,
    ) -> Result<B, Refusal> {
        self.check_key(key_of)?;
        dagcbor::decode(&self.body)
    }

    /// Checks the signature under a key that is known; gives the header's bytes.
    fn check_key(
        &self,
        key_of: impl FnOnce(&Address, &KeyId) -> Option<VerifyingKey>,
    ) -> Result<Vec<u8>, Refusal> {
        let key = key_of(&self.header.from, &self.header.kid).ok_or(Refusal::UnknownKey)?;
        self.check_sig(&key)
    }

    fn check_sig(&self, key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
        let header = dagcbor::encode(&self.header)?;
        let signed = signed_bytes(&header, &self.body);
        key::verify(key, DOMAIN, &signed, &self.sig)?;
        Ok(header)
    }
}

fn signed_bytes(header: &[u8], body: &[u8]) -> Vec<u8> {
    [header, Sha256::digest(body).as_slice()].concat()
}

#[cfg(test)]
mod tests;
