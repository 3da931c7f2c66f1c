//! The bodies of envelopes, with the bounds that hold for each.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::{Refusal, seal};
use crate::model::{Advert, Binding};

/// What one side picks for one handshake with one peer: a fresh X25519 key, so
/// that it proves that the answer is fresh and agrees on the session's keys.
pub type Nonce = ByteArray<32>;
/// Names a session: the hash of both keys, boots and nonces.
pub type SessionId = ByteArray<32>;

/// Messages that one frame may carry.
pub const MAX_MESSAGES: usize = 256;
/// Ranges that one acknowledgement may name.
pub const MAX_RANGES: usize = 64;
const MAX_ADDRESSES: usize = 8;
const MAX_ADDRESS_BYTES: usize = 256;
const MAX_ENTRIES: usize = 32;
const MAX_TEXT_BYTES: usize = 128;
const PERIODS_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

/// The greeting. The boot is the binding's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The sender's key.
    pub nonce: Nonce,
    /// The receiver's key, where the sender has seen them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Nonce>,
    /// Who the sender is.
    pub binding: Binding,
    /// Swarm addresses with `/p2p/…`, at most 8.
    pub addresses: Vec<String>,
    /// The sender's Kubo takes streams to its sidecar.
    pub streams: bool,
}

/// Messages and what was received: the traffic of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Numbered messages, each canonical bytes of its own, so that one that is
    /// not understood does not take the others with it.
    pub messages: Vec<(u64, ByteBuf)>,
    /// What the sender has received.
    pub ack: Ack,
}

/// What was received of the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Every message up to this number.
    pub upto: u64,
    /// And those of these ranges, both ends included, rising.
    pub ranges: Vec<(u64, u64)>,
    /// The highest frame number received; 0 before the first.
    pub echo: u64,
    /// Microseconds between that frame's arrival and this one's departure.
    pub held_us: u64,
}

/// An advert with the proof of who says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// Who says it.
    pub binding: Binding,
    /// What it says.
    pub advert: Advert,
}

/// A body without content: farewell and self-probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl Hello {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        check_texts(&self.addresses, MAX_ADDRESSES, MAX_ADDRESS_BYTES)?;
        match seal::is_sound(&self.nonce) {
            true => Ok(()),
            false => Err(Refusal::Unsealable),
        }
    }
}

impl Frame {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let is_small = self.messages.len() <= MAX_MESSAGES && self.ack.ranges.len() <= MAX_RANGES;
        let mut above = self.ack.upto;
        let rise = self.ack.ranges.iter().all(|(first, last)| {
            let rises = *first > above && last >= first;
            above = *last;
            rises
        });
        if is_small && rise {
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }
}

impl Announcement {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let advert = &self.advert;
        check_texts(&advert.addresses, MAX_ADDRESSES, MAX_ADDRESS_BYTES)?;
        check_texts(advert.runtimes.keys(), MAX_ENTRIES, MAX_TEXT_BYTES)?;
        for abis in advert.runtimes.values() {
            check_texts(abis, MAX_ENTRIES, MAX_TEXT_BYTES)?;
        }
        check_texts(advert.labels.keys(), MAX_ENTRIES, MAX_TEXT_BYTES)?;
        check_texts(advert.labels.values(), MAX_ENTRIES, MAX_TEXT_BYTES)?;
        check_texts([&advert.agent], 1, MAX_TEXT_BYTES)?;
        let is_small = advert.warm.len() <= MAX_ENTRIES;
        let is_bound = advert.boot == self.binding.body.boot;
        if is_small && is_bound && PERIODS_MS.contains(&advert.period_ms) {
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }
}

fn check_texts<'a>(
    texts: impl IntoIterator<Item = &'a String>,
    count: usize,
    bytes: usize,
) -> Result<(), Refusal> {
    let mut seen = 0;
    let fit = texts.into_iter().all(|text| {
        seen += 1;
        text.len() <= bytes
    });
    if fit && seen <= count {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}
