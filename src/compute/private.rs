//! Streams of private content: sealed as they pass, or opened.
//!
//! Takes streams of bytes and a content key, gives streams. A stream that is
//! not what was sealed ends with an error, never as if it were whole. Never
//! holds more than a chunk; `wire::private` has the construction.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{ByteStream, Failure};
use crate::{
    model::{Class, ContentKey, Delivery, Outcome, Receipt},
    wire::{
        Refusal,
        private::{KeyedDigest, Opening, Part, SALT_BYTES, Sealing},
    },
};

/// A content key that nobody else has.
///
/// # Errors
/// When the system gives no random numbers: nothing is private then.
pub(super) fn fresh_key() -> Result<ContentKey, Failure> {
    fresh().map(ContentKey::of)
}

/// Seals what passes, under a fresh salt.
///
/// # Errors
/// As [`fresh_key`].
pub(super) fn sealed(
    bytes: ByteStream,
    key: &ContentKey,
    part: Part,
) -> Result<ByteStream, Failure> {
    let sealing = Sealing::new(key, part, fresh::<SALT_BYTES>()?);
    Ok(passed(bytes, sealing.map_err(|e| unsealed(&e))?))
}

/// Opens what passes; it ends with an error where it is not what was sealed,
/// or where it has another `digest`.
pub(super) fn opened(
    bytes: ByteStream,
    key: &ContentKey,
    part: Part,
    digest: Option<Vec<u8>>,
) -> ByteStream {
    let digest = digest.map(|digest| KeyedDigest::new(key).map(|seen| (seen, digest)));
    match digest.transpose() {
        Ok(digest) => {
            let opening = Opening::new(key, part);
            passed(bytes, Checked { opening, digest })
        }
        Err(refusal) => stream::iter([Err(io::Error::other(refusal))]).boxed(),
    }
}

/// The same stream once its beginning is known to be genuine.
///
/// # Errors
/// What is wrong with it, so that it can be told before any byte is.
pub(super) async fn begun(mut bytes: ByteStream) -> Result<ByteStream, Failure> {
    let first = bytes.next().await.transpose().map_err(|error| {
        let message = format!("what was sealed cannot be opened: {error}");
        Failure::new(Class::Node, "unsealable", message)
    })?;
    let first = stream::iter(first.map(Ok));
    Ok(first.chain(bytes).boxed())
}

/// Whether what rode along with a receipt of a private invocation is what the
/// receipt says.
///
/// # Errors
/// One line that names what does not fit.
pub(super) fn check(
    receipt: &Receipt,
    delivery: &Delivery,
    key: Option<&ContentKey>,
) -> Result<(), String> {
    if receipt.private != key.is_some() {
        return Err("it takes a private invocation for a public one, or the reverse".to_owned());
    }
    let (Some(key), Outcome::Ok { output, digest, .. }) = (key, &receipt.outcome) else {
        return Ok(());
    };
    let block = delivery.blocks.iter().find(|block| block.cid == *output);
    let Some(block) = block else { return Ok(()) };
    let opened = open_whole(&block.data, key, digest);
    opened.map_err(|error| format!("its output: {error}"))
}

fn open_whole(sealed: &[u8], key: &ContentKey, digest: &[u8]) -> Result<(), Error> {
    let mut checked = Checked {
        opening: Opening::new(key, Part::Output),
        digest: Some((KeyedDigest::new(key)?, digest.to_vec())),
    };
    checked.push(sealed)?;
    checked.end().map(|_| ())
}

/// Why bytes did not pass.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Sealed with another key, cut or changed.
    #[error(transparent)]
    Sealed(#[from] Refusal),
    /// Sealed well, but the receipt is of something else.
    #[error("not what the receipt says")]
    Digest,
}

/// Something that bytes pass through.
trait Passage: Send + 'static {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error>;
    fn end(self) -> Result<Vec<u8>, Error>;
}

impl Passage for Sealing {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.push(bytes)?)
    }

    fn end(self) -> Result<Vec<u8>, Error> {
        Ok(self.end()?)
    }
}

/// Opens, and compares the digest of what comes out.
struct Checked {
    opening: Opening,
    digest: Option<(KeyedDigest, Vec<u8>)>,
}

impl Passage for Checked {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let plain = self.opening.push(bytes)?;
        if let Some((seen, _)) = &mut self.digest {
            seen.push(&plain);
        }
        Ok(plain)
    }

    fn end(self) -> Result<Vec<u8>, Error> {
        let plain = self.opening.end()?;
        if let Some((mut seen, digest)) = self.digest {
            seen.push(&plain);
            if !seen.is(&digest) {
                return Err(Error::Digest);
            }
        }
        Ok(plain)
    }
}

fn passed<P: Passage>(bytes: ByteStream, passage: P) -> ByteStream {
    let through = stream::unfold((bytes, Some(passage)), |(mut bytes, passage)| async {
        let mut passage = passage?;
        let (passed, left) = match bytes.next().await {
            Some(Ok(piece)) => (passage.push(&piece).map_err(broken), Some(passage)),
            Some(Err(error)) => (Err(error), None),
            None => (passage.end().map_err(broken), None),
        };
        let left = left.filter(|_| passed.is_ok());
        Some((passed.map(Bytes::from), (bytes, left)))
    });
    let is_something = |piece: &Bytes| std::future::ready(!piece.is_empty());
    through.try_filter(is_something).boxed()
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn fresh<const BYTES: usize>() -> Result<[u8; BYTES], Failure> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the system gives no random numbers: {error}");
        Failure::new(Class::Node, "no_randomness", message)
    })?;
    Ok(bytes)
}

fn unsealed(refusal: &Refusal) -> Failure {
    let message = format!("nothing can be sealed: {refusal}");
    Failure::new(Class::Node, "unsealable", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Block,
        wire::{block::RAW, cid_of, testing},
    };

    fn pieces(bytes: &[u8]) -> ByteStream {
        let pieces: Vec<_> = bytes
            .chunks(1_000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        stream::iter(pieces).boxed()
    }

    async fn all(bytes: ByteStream) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = bytes.try_collect().await?;
        Ok(pieces.concat())
    }

    fn digest(key: &ContentKey, content: &[u8]) -> Option<Vec<u8>> {
        let mut digest = KeyedDigest::new(key).unwrap();
        digest.push(content);
        Some(digest.end())
    }

    #[tokio::test]
    async fn a_stream_is_sealed_and_opened_on_the_way() {
        let (key, content) = (fresh_key().unwrap(), b"content ".repeat(50_000));
        let sealed = sealed(pieces(&content), &key, Part::Output).unwrap();
        let sealed = all(sealed).await.unwrap();
        let known = digest(&key, &content);
        let opened = opened(pieces(&sealed), &key, Part::Output, known);
        assert!(all(opened).await.unwrap() == content);
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_or_another_ends_with_an_error() {
        let (key, content) = (fresh_key().unwrap(), b"content ".repeat(50_000));
        let whole = sealed(pieces(&content), &key, Part::Output).unwrap();
        let whole = all(whole).await.unwrap();
        let open = |bytes: &[u8], key: &ContentKey, digest| {
            all(opened(pieces(bytes), key, Part::Output, digest))
        };
        assert!(open(&whole, &key, None).await.is_ok());
        assert!(open(&whole[..whole.len() - 1], &key, None).await.is_err());
        assert!(open(&whole, &fresh_key().unwrap(), None).await.is_err());
        let other = digest(&key, b"other");
        assert!(open(&whole, &key, other).await.is_err());
    }

    /// A receipt of a private run whose output rides along.
    async fn delivered(key: &ContentKey, content: &[u8]) -> (Receipt, Delivery) {
        let sealed = sealed(pieces(content), key, Part::Output).unwrap();
        let data = all(sealed).await.unwrap();
        let cid = cid_of(RAW, &data);
        let mut receipt = testing::receipt(&testing::Node::new(1));
        receipt.private = true;
        receipt.outcome = Outcome::Ok {
            output: cid,
            digest: digest(key, content).unwrap(),
            archive: false,
            logs: None,
            exit: 0,
        };
        let delivery = Delivery {
            lease: receipt.lease,
            receipt: Vec::new(),
            blocks: vec![Block { cid, data }],
            sources: Vec::new(),
        };
        (receipt, delivery)
    }

    #[tokio::test]
    async fn a_receipt_counts_only_for_what_was_sealed_with_the_key_of_its_invocation() {
        let key = fresh_key().unwrap();
        let (receipt, delivery) = delivered(&key, b"content").await;
        assert_eq!(check(&receipt, &delivery, Some(&key)), Ok(()));
        let other = fresh_key().unwrap();
        assert!(check(&receipt, &delivery, Some(&other)).is_err());
        let mut lies = receipt.clone();
        if let Outcome::Ok { digest, .. } = &mut lies.outcome {
            digest[0] ^= 1;
        }
        let why = check(&lies, &delivery, Some(&key)).unwrap_err();
        assert_eq!(why, "its output: not what the receipt says");
    }

    #[tokio::test]
    async fn no_receipt_of_a_public_run_counts_for_a_private_one_or_the_reverse() {
        let key = fresh_key().unwrap();
        let (mut receipt, delivery) = delivered(&key, b"content").await;
        assert!(check(&receipt, &delivery, None).is_err());
        receipt.private = false;
        assert!(check(&receipt, &delivery, Some(&key)).is_err());
        assert_eq!(check(&receipt, &delivery, None), Ok(()));
    }

    #[tokio::test]
    async fn a_source_that_breaks_is_never_sealed_as_if_it_were_whole() {
        let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("x"))]);
        let sealed = sealed(broken.boxed(), &fresh_key().unwrap(), Part::Input).unwrap();
        assert!(all(sealed).await.is_err());
    }
}
