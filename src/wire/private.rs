//! Seals the content of a private invocation: input, output, logs.
//!
//! Takes bytes piece by piece, gives sealed bytes piece by piece, and the way
//! back; never holds more than a chunk. Every sealed content has a salt of its
//! own, so one content key serves any number of attempts. A bit that changed, a
//! chunk that moved or is missing, a cut end and another key are refused, but
//! what came before was given already: nothing counts before its end.
//!
//! The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over
//! ChaCha20-Poly1305 (RFC 8439), as in the age format: chunks of 64 KiB under a
//! key by HKDF-SHA256 (RFC 5869) from content key and salt. Lengths are padded
//! to whole KiB. Digests are HMAC-SHA256 (RFC 2104).

use aead_stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::ChaCha20Poly1305;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Refusal;
use crate::model::ContentKey;

const DOMAIN: &[u8] = b"timerose/private/1\0";
/// Plaintext bytes of every chunk but the last.
const CHUNK_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// Lengths tell something too: they come in steps.
const STEP_BYTES: usize = 1 << 10;
/// Bytes of the salt that every sealed content begins with.
pub const SALT_BYTES: usize = 16;
/// The key serves one stream, so its nonces need no start of their own.
const NONCE: [u8; 7] = [0; 7];
/// Where the content ends and zeros begin.
const END: u8 = 0x80;

/// What is sealed; each has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the function reads.
    Input,
    /// What it gives.
    Output,
    /// What it wrote to its standard error.
    Logs,
}

impl Part {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Input => b"in",
            Self::Output => b"out",
            Self::Logs => b"log",
        }
    }
}

/// Bytes that `plain` bytes have once they are sealed.
#[must_use]
pub const fn sealed_len(plain: u64) -> u64 {
    let padded = (plain / STEP_BYTES as u64 + 1) * STEP_BYTES as u64;
    SALT_BYTES as u64 + padded + padded.div_ceil(CHUNK_BYTES as u64) * TAG_BYTES as u64
}

/// Seals one content.
pub struct Sealing {
    stream: EncryptorBE32<ChaCha20Poly1305>,
    salt: Option<[u8; SALT_BYTES]>,
    waiting: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing")
    }
}

impl Sealing {
    /// Begins with a salt that no other content has.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`], in theory only.
    pub fn new(key: &ContentKey, part: Part, salt: [u8; SALT_BYTES]) -> Result<Self, Refusal> {
        let key = derived(key, &salt, part.label())?;
        Ok(Self {
            stream: EncryptorBE32::new((&*key).into(), &NONCE.into()),
            salt: Some(salt),
            waiting: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
        })
    }

    /// Takes more of the content; gives what is sealed of it so far.
    ///
    /// # Errors
    /// [`Refusal::Oversized`] after 256 TiB.
    pub fn push(&mut self, mut plain: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut sealed = self.salt.take().map_or_else(Vec::new, Vec::from);
        while let Some(chunk) = filled(&mut self.waiting, &mut plain, CHUNK_BYTES) {
            let next = self.stream.encrypt_next(chunk);
            sealed.extend(next.map_err(|_| Refusal::Oversized)?);
            self.waiting.clear();
        }
        Ok(sealed)
    }

    /// Ends the content; gives the rest.
    ///
    /// # Errors
    /// [`Refusal::Oversized`] after 256 TiB.
    pub fn end(mut self) -> Result<Vec<u8>, Refusal> {
        let mut sealed = self.salt.take().map_or_else(Vec::new, Vec::from);
        self.waiting.push(END);
        let padded = self.waiting.len().next_multiple_of(STEP_BYTES);
        self.waiting.resize(padded, 0);
        let last = self.stream.encrypt_last(self.waiting.as_slice());
        sealed.extend(last.map_err(|_| Refusal::Oversized)?);
        Ok(sealed)
    }
}

/// Opens one sealed content.
pub struct Opening {
    key: ContentKey,
    part: Part,
    stream: Option<DecryptorBE32<ChaCha20Poly1305>>,
    waiting: Vec<u8>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opening({:?})", self.part)
    }
}

impl Opening {
    /// Opens what was sealed with `key` as `part`.
    #[must_use]
    pub fn new(key: &ContentKey, part: Part) -> Self {
        Self {
            key: key.clone(),
            part,
            stream: None,
            waiting: Vec::with_capacity(SEALED_CHUNK_BYTES),
        }
    }

    /// Takes more of what is sealed; gives the content of whole chunks. What
    /// it gives is genuine and in its place, but may not be all.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`] where one bit is another.
    pub fn push(&mut self, mut sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut plain = Vec::new();
        self.begin(&mut sealed)?;
        let Some(stream) = &mut self.stream else {
            return Ok(plain);
        };
        // A full chunk is the last one, for all that is known, until more comes.
        while let Some(chunk) = filled(&mut self.waiting, &mut sealed, SEALED_CHUNK_BYTES) {
            if sealed.is_empty() {
                break;
            }
            let next = stream.decrypt_next(chunk);
            plain.extend(next.map_err(|_| Refusal::Unsealable)?);
            self.waiting.clear();
        }
        Ok(plain)
    }

    /// There is no more; gives the rest of the content.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`] where it was cut; [`Refusal::Malformed`] where it
    /// was sealed in another way than here.
    pub fn end(self) -> Result<Vec<u8>, Refusal> {
        let stream = self.stream.ok_or(Refusal::Unsealable)?;
        let last = stream.decrypt_last(self.waiting.as_slice());
        unpadded(last.map_err(|_| Refusal::Unsealable)?)
    }

    /// Takes the salt off the beginning.
    fn begin(&mut self, sealed: &mut &[u8]) -> Result<(), Refusal> {
        if self.stream.is_some() {
            return Ok(());
        }
        let Some(salt) = filled(&mut self.waiting, sealed, SALT_BYTES) else {
            return Ok(());
        };
        let key = derived(&self.key, salt, self.part.label())?;
        self.stream = Some(DecryptorBE32::new((&*key).into(), &NONCE.into()));
        self.waiting.clear();
        Ok(())
    }
}

/// Fills `waiting` from `more` up to `full` bytes; gives it once it is full.
fn filled<'a>(waiting: &'a mut Vec<u8>, more: &mut &[u8], full: usize) -> Option<&'a [u8]> {
    let missing = full.saturating_sub(waiting.len()).min(more.len());
    let (taken, rest) = more.split_at(missing);
    waiting.extend_from_slice(taken);
    *more = rest;
    (waiting.len() == full).then_some(waiting)
}

fn unpadded(mut padded: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let zeros = padded.iter().rev().take_while(|byte| **byte == 0).count();
    let length = padded.len().checked_sub(zeros + 1);
    let length = length.ok_or(Refusal::Malformed)?;
    let is_canonical = padded.get(length) == Some(&END)
        && padded.len() == (length + 1).next_multiple_of(STEP_BYTES);
    if !is_canonical {
        return Err(Refusal::Malformed);
    }
    padded.truncate(length);
    Ok(padded)
}

/// The digest of a content that only those with the key can make or compare.
#[derive(Clone)]
pub struct KeyedDigest(Hmac<Sha256>);

impl std::fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedDigest")
    }
}

impl KeyedDigest {
    /// Of nothing yet.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`], in theory only.
    pub fn new(key: &ContentKey) -> Result<Self, Refusal> {
        let key = derived(key, &[], b"digest")?;
        let mac = Hmac::new_from_slice(&*key);
        mac.map(Self).map_err(|_| Refusal::Unsealable)
    }

    /// Takes more of the content.
    pub fn push(&mut self, plain: &[u8]) {
        self.0.update(plain);
    }

    /// The digest of all of it.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        self.0.finalize().into_bytes().to_vec()
    }

    /// Whether this is the digest of all of it.
    #[must_use]
    pub fn is(self, digest: &[u8]) -> bool {
        self.0.verify_slice(digest).is_ok()
    }
}

fn derived(
    key: &ContentKey,
    salt: &[u8],
    label: &'static [u8],
) -> Result<Zeroizing<[u8; 32]>, Refusal> {
    let mut derived = Zeroizing::new([0; 32]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), key.bits())
        .expand_multi_info(&[DOMAIN, label], &mut *derived);
    expanded.map_err(|_| Refusal::Unsealable)?;
    Ok(derived)
}

#[cfg(test)]
mod tests;
