//! Seals the traffic of a session: only its two sides can read it.
//!
//! Takes each side's fresh X25519 key, which signed greetings exchanged, gives
//! one key per direction; then bytes out of bytes. The keys live as long as
//! the session, so what was recorded cannot be read later, whoever then gets
//! the sidecar's key.
//!
//! Agreement as in TLS 1.3: X25519 (RFC 7748), HKDF-SHA256 (RFC 5869) with the
//! session id as salt; ChaCha20-Poly1305 (RFC 8439) with the frame number as
//! nonce and the envelope's header as associated data. Plaintexts are padded to
//! whole KiB.

use std::fmt;

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

use super::{
    Refusal,
    body::{Nonce, SessionId},
};

const DOMAIN: &[u8] = b"timerose/seal/1\0";
/// Lengths tell something too: they come in steps.
const STEP_BYTES: usize = 1 << 10;
const LENGTH_BYTES: usize = 4;

/// One side's fresh key of one handshake; forgotten with it.
#[derive(Clone)]
pub struct Secret {
    secret: StaticSecret,
    public: Nonce,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.public)
    }
}

impl Secret {
    /// The key of these bits, which nobody else may know.
    #[must_use]
    pub fn of(bits: [u8; 32]) -> Self {
        let secret = StaticSecret::from(bits);
        let public = Nonce::new(PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// What the other side is told.
    #[must_use]
    pub const fn public(&self) -> Nonce {
        self.public
    }

    /// The keys of `session` with whoever said `theirs`.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`] where `theirs` is no key that keeps a secret.
    pub fn agree(&self, theirs: &Nonce, session: &SessionId) -> Result<Keys, Refusal> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(**theirs));
        if !shared.was_contributory() {
            return Err(Refusal::Unsealable);
        }
        let agreed = Hkdf::<Sha256>::new(Some(session.as_slice()), shared.as_bytes());
        let key = |from: &Nonce, to: &Nonce| {
            let mut key = [0; 32];
            let info = [DOMAIN, from.as_slice(), to.as_slice()].concat();
            let expanded = agreed.expand(&info, &mut key);
            expanded.map_err(|_| Refusal::Unsealable)?;
            Ok(ChaCha20Poly1305::new(&key.into()))
        };
        Ok(Keys {
            ours: key(&self.public, theirs)?,
            theirs: key(theirs, &self.public)?,
        })
    }
}

/// Whether a key can keep a secret: with those of low order everybody agrees on
/// the same one.
#[must_use]
pub fn is_sound(public: &Nonce) -> bool {
    let any = StaticSecret::from([1; 32]);
    any.diffie_hellman(&PublicKey::from(**public))
        .was_contributory()
}

/// The two keys of a session, as one side holds them.
#[derive(Clone)]
pub struct Keys {
    ours: ChaCha20Poly1305,
    theirs: ChaCha20Poly1305,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Seals the body of the frame `seq`, which no other frame of this side may
    /// be numbered.
    ///
    /// # Errors
    /// [`Refusal::Oversized`].
    pub fn seal(&self, seq: u64, header: &[u8], body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let payload = Payload {
            msg: &padded(body)?,
            aad: header,
        };
        let sealed = self.ours.encrypt(&nonce(seq).into(), payload);
        sealed.map_err(|_| Refusal::Oversized)
    }

    /// Opens what the other side sealed.
    ///
    /// # Errors
    /// [`Refusal::Unsealable`] where one bit is another.
    pub fn open(&self, seq: u64, header: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
        let payload = Payload {
            msg: sealed,
            aad: header,
        };
        let opened = self.theirs.decrypt(&nonce(seq).into(), payload);
        unpadded(opened.map_err(|_| Refusal::Unsealable)?)
    }
}

fn nonce(seq: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    let (_, low) = nonce.split_at_mut(4);
    low.copy_from_slice(&seq.to_be_bytes());
    nonce
}

fn padded(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let length = u32::try_from(body.len()).map_err(|_| Refusal::Oversized)?;
    let mut padded = [&length.to_be_bytes(), body].concat();
    padded.resize(padded.len().next_multiple_of(STEP_BYTES), 0);
    Ok(padded)
}

fn unpadded(mut padded: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let head = padded.first_chunk::<LENGTH_BYTES>();
    let length = u32::from_be_bytes(*head.ok_or(Refusal::Malformed)?);
    let length = usize::try_from(length).map_err(|_| Refusal::Malformed)?;
    if length > padded.len() - LENGTH_BYTES {
        return Err(Refusal::Malformed);
    }
    padded.drain(..LENGTH_BYTES);
    padded.truncate(length);
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sides() -> (Keys, Keys) {
        let (a, b) = (Secret::of([1; 32]), Secret::of([2; 32]));
        let session = SessionId::new([3; 32]);
        let at_a = a.agree(&b.public(), &session).unwrap();
        (at_a, b.agree(&a.public(), &session).unwrap())
    }

    #[test]
    fn a_public_key_is_that_of_rfc_7748_section_6_1() {
        let bits = |hex: &str| {
            let bytes = multibase::Base::Base16Lower.decode(hex).unwrap();
            <[u8; 32]>::try_from(bytes).unwrap()
        };
        let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(Secret::of(bits(alice)).public(), Nonce::new(bits(public)));
    }

    #[test]
    fn each_side_opens_what_the_other_sealed_and_not_its_own() {
        let (a, b) = sides();
        let sealed = a.seal(7, b"header", b"body").unwrap();
        assert_eq!(b.open(7, b"header", &sealed), Ok(b"body".to_vec()));
        assert_eq!(a.open(7, b"header", &sealed), Err(Refusal::Unsealable));
    }

    #[test]
    fn another_number_header_session_or_bit_opens_nothing() {
        let (a, b) = sides();
        let sealed = a.seal(7, b"header", b"body").unwrap();
        assert_eq!(b.open(8, b"header", &sealed), Err(Refusal::Unsealable));
        assert_eq!(b.open(7, b"Header", &sealed), Err(Refusal::Unsealable));
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(b.open(7, b"header", &flipped), Err(Refusal::Unsealable));
        }
        let (one, two) = (Secret::of([1; 32]), Secret::of([2; 32]));
        let other = two.agree(&one.public(), &SessionId::new([4; 32])).unwrap();
        assert_eq!(other.open(7, b"header", &sealed), Err(Refusal::Unsealable));
    }

    #[test]
    fn a_key_that_keeps_no_secret_is_refused() {
        let low_order = Nonce::new([0; 32]);
        let agreed = Secret::of([1; 32]).agree(&low_order, &SessionId::new([3; 32]));
        assert_eq!(agreed.unwrap_err(), Refusal::Unsealable);
        assert!(!is_sound(&low_order) && is_sound(&Secret::of([2; 32]).public()));
    }

    #[test]
    fn lengths_are_told_in_whole_kib_only() {
        let (a, _) = sides();
        let length = |bytes: usize| a.seal(1, b"", &vec![7; bytes]).unwrap().len();
        assert_eq!(length(0), length(STEP_BYTES - LENGTH_BYTES));
        assert_eq!(length(0) + STEP_BYTES, length(STEP_BYTES));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_comes_out_as_it_was(
            body in proptest::collection::vec(any::<u8>(), 0..3_000),
            seq in any::<u64>(),
        ) {
            let (a, b) = sides();
            let sealed = a.seal(seq, b"h", &body).unwrap();
            prop_assert_eq!(b.open(seq, b"h", &sealed), Ok(body));
        }
    }
}
