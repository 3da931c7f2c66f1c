//! CARv1: blocks and their roots as one sequence of bytes.
//!
//! Reading is bounded and hashes every block; whether the blocks make a whole
//! DAG is the reader's question, not this file's.

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::{Refusal, dagcbor, verify_block};

/// Bytes of one block beyond which nothing is read: Kubo's own limit.
pub const MAX_BLOCK_BYTES: usize = 2 << 20;

/// What a CAR holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Car {
    /// Where to begin.
    pub roots: Vec<Cid>,
    /// Blocks in their order, each hashed.
    pub blocks: Vec<(Cid, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    roots: Vec<Cid>,
    version: u64,
}

/// Writes a CAR.
///
/// # Errors
/// [`Refusal::Unencodable`], in theory only.
pub fn write<'a>(
    roots: &[Cid],
    blocks: impl IntoIterator<Item = (&'a Cid, &'a [u8])>,
) -> Result<Vec<u8>, Refusal> {
    let mut car = Vec::new();
    section(
        &mut car,
        &[&dagcbor::encode(&Header {
            roots: roots.to_vec(),
            version: 1,
        })?],
    );
    for (cid, data) in blocks {
        section(&mut car, &[&cid.to_bytes(), data]);
    }
    Ok(car)
}

fn section(car: &mut Vec<u8>, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum();
    car.extend_from_slice(unsigned_varint::encode::usize(
        length,
        &mut unsigned_varint::encode::usize_buffer(),
    ));
    parts.iter().for_each(|part| car.extend_from_slice(part));
}

/// Reads a CAR of at most `max_blocks` blocks; how many bytes there are was the
/// caller's choice.
///
/// # Errors
/// [`Refusal::Malformed`], [`Refusal::Oversized`], [`Refusal::Version`] or
/// [`Refusal::Hash`].
pub fn read(bytes: &[u8], max_blocks: usize) -> Result<Car, Refusal> {
    let (header, mut rest) = next_section(bytes)?;
    let header: Header = dagcbor::decode(header)?;
    if header.version != 1 {
        return Err(Refusal::Version);
    }
    let mut car = Car {
        roots: header.roots,
        blocks: Vec::new(),
    };
    while !rest.is_empty() {
        if car.blocks.len() == max_blocks {
            return Err(Refusal::Oversized);
        }
        let (block, after) = next_section(rest)?;
        car.blocks.push(read_block(block)?);
        rest = after;
    }
    Ok(car)
}

fn next_section(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (length, rest) = unsigned_varint::decode::usize(bytes).map_err(|_| Refusal::Malformed)?;
    if length > MAX_BLOCK_BYTES + 128 {
        return Err(Refusal::Oversized);
    }
    rest.split_at_checked(length).ok_or(Refusal::Malformed)
}

fn read_block(mut section: &[u8]) -> Result<(Cid, Vec<u8>), Refusal> {
    let cid = Cid::read_bytes(&mut section).map_err(|_| Refusal::Malformed)?;
    verify_block(&cid, section)?;
    Ok((cid, section.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::block::{RAW, cid_of};

    fn car_of(blocks: &[Vec<u8>]) -> (Car, Vec<u8>) {
        let blocks: Vec<_> = blocks.iter().map(|b| (cid_of(RAW, b), b.clone())).collect();
        let roots: Vec<_> = blocks.first().map(|(cid, _)| *cid).into_iter().collect();
        let bytes = write(&roots, blocks.iter().map(|(c, b)| (c, b.as_slice()))).unwrap();
        (Car { roots, blocks }, bytes)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
        ) {
            let (car, bytes) = car_of(&blocks);
            prop_assert_eq!(read(&bytes, 8), Ok(car));
        }

        #[test]
        fn hostile_bytes_are_refused_without_a_crash(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes, 8).is_err());
        }
    }

    #[test]
    fn a_changed_block_is_refused() {
        let (_, mut bytes) = car_of(&[b"block".to_vec()]);
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(read(&bytes, 8), Err(Refusal::Hash));
    }

    #[test]
    fn a_truncated_car_is_never_a_whole_one() {
        let (_, bytes) = car_of(&[b"block".to_vec()]);
        assert_eq!(read(&bytes[..bytes.len() - 1], 8), Err(Refusal::Malformed));
    }

    #[test]
    fn more_blocks_than_asked_for_are_refused() {
        let (_, bytes) = car_of(&[b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(read(&bytes, 1), Err(Refusal::Oversized));
    }
}
