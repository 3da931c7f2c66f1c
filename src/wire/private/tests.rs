//! What is sealed comes out as it was, or not at all.

use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> ContentKey {
    ContentKey::of([byte; 32])
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn seal(key: &ContentKey, part: Part, pieces: &[&[u8]]) -> Vec<u8> {
    let mut sealing = Sealing::new(key, part, [9; SALT_BYTES]).unwrap();
    let mut sealed = Vec::new();
    for piece in pieces {
        sealed.extend(sealing.push(piece).unwrap());
    }
    sealed.extend(sealing.end().unwrap());
    sealed
}

fn open(key: &ContentKey, part: Part, pieces: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
    let mut opening = Opening::new(key, part);
    let mut plain = Vec::new();
    for piece in pieces {
        plain.extend(opening.push(piece)?);
    }
    plain.extend(opening.end()?);
    Ok(plain)
}

fn refused(sealed: &[u8]) -> bool {
    open(&key(1), Part::Output, &[sealed]) == Err(Refusal::Unsealable)
}

/// Lengths around every edge: nothing, a step, a chunk, some chunks.
const EDGES: [usize; 9] = [0, 1, 1_023, 1_024, 1_025, 65_535, 65_536, 65_537, 200_000];

#[test]
fn content_of_any_length_comes_out_as_it_was_and_has_the_length_that_was_told() {
    for length in EDGES {
        let plain = content(length);
        let sealed = seal(&key(1), Part::Output, &[&plain]);
        assert_eq!(sealed.len() as u64, sealed_len(length as u64), "{length}");
        let opened = open(&key(1), Part::Output, &[&sealed]).unwrap();
        assert!(opened == plain, "{length}");
    }
}

#[test]
fn nothing_of_the_content_shows() {
    let plain = b"a marker that nobody else may read".repeat(4_000);
    let sealed = seal(&key(1), Part::Input, &[&plain]);
    let is_there = |what: &[u8]| sealed.windows(what.len()).any(|part| part == what);
    assert!(!is_there(b"marker") && !is_there(key(1).bits()));
}

#[test]
fn another_key_or_part_opens_nothing() {
    let sealed = seal(&key(1), Part::Output, &[&content(70_000)]);
    for (key, part) in [
        (key(2), Part::Output),
        (key(1), Part::Input),
        (key(1), Part::Logs),
    ] {
        assert_eq!(open(&key, part, &[&sealed]), Err(Refusal::Unsealable));
    }
}

#[test]
fn one_salt_is_not_like_another() {
    let plain = content(2_000);
    let mut sealing = Sealing::new(&key(1), Part::Output, [8; SALT_BYTES]).unwrap();
    let mut sealed = sealing.push(&plain).unwrap();
    sealed.extend(sealing.end().unwrap());
    let other = seal(&key(1), Part::Output, &[&plain]);
    let alike = sealed.iter().zip(&other).filter(|(a, b)| a == b).count();
    assert!(alike < sealed.len() / 10, "{alike} bytes are the same");
}

#[test]
fn whatever_is_cut_off_is_missed() {
    let sealed = seal(&key(1), Part::Output, &[&content(200_000)]);
    let at_a_chunk = [1, 2, 3].map(|n| SALT_BYTES + n * SEALED_CHUNK_BYTES);
    let elsewhere = [0, 1, SALT_BYTES - 1, SALT_BYTES, SALT_BYTES + 1, 100_000];
    for at in at_a_chunk.into_iter().chain(elsewhere) {
        assert!(refused(&sealed[..at]), "cut at {at}");
    }
    assert!(refused(&sealed[..sealed.len() - 1]));
}

#[test]
fn nothing_can_be_put_behind_the_end() {
    let sealed = seal(&key(1), Part::Output, &[&content(100)]);
    for more in [&[0_u8][..], &[0; TAG_BYTES], &sealed, &[0; 70_000]] {
        assert!(refused(&[&sealed, more].concat()));
    }
}

#[test]
fn chunks_keep_their_places() {
    let sealed = seal(&key(1), Part::Output, &[&content(200_000)]);
    let (salt, chunks) = sealed.split_at(SALT_BYTES);
    let chunks: Vec<&[u8]> = chunks.chunks(SEALED_CHUNK_BYTES).collect();
    let of = |order: &[usize]| {
        let chosen = order.iter().map(|n| chunks[*n]);
        [salt]
            .into_iter()
            .chain(chosen)
            .collect::<Vec<_>>()
            .concat()
    };
    assert_eq!(of(&[0, 1, 2, 3]), sealed);
    for order in [
        &[1, 0, 2, 3][..],
        &[0, 2, 3],
        &[0, 1, 1, 2, 3],
        &[0, 1, 3],
        &[3],
    ] {
        assert!(refused(&of(order)), "{order:?}");
    }
}

#[test]
fn a_changed_bit_anywhere_is_noticed() {
    let sealed = seal(&key(1), Part::Output, &[&content(67_000)]);
    for at in (0..sealed.len()).step_by(61).chain([sealed.len() - 1]) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(refused(&flipped), "byte {at}");
    }
}

#[test]
fn lengths_are_told_in_whole_kib_only() {
    assert_eq!(sealed_len(0), sealed_len(1_023));
    assert_eq!(sealed_len(0) + STEP_BYTES as u64, sealed_len(1_024));
}

#[test]
fn a_digest_is_of_its_key_and_of_all_of_the_content() {
    let digest = |key: &ContentKey, plain: &[u8]| {
        let mut digest = KeyedDigest::new(key).unwrap();
        plain.chunks(3).for_each(|piece| digest.push(piece));
        digest
    };
    let known = digest(&key(1), b"content").end();
    assert!(digest(&key(1), b"content").is(&known));
    assert!(!digest(&key(2), b"content").is(&known));
    assert!(!digest(&key(1), b"contenT").is(&known));
    assert!(!digest(&key(1), b"content").is(&known[..31]));
}

proptest! {
    #[test]
    fn pieces_of_any_size_make_no_difference(
        length in 0..150_000_usize,
        cut in 1..70_000_usize,
        sealed_cut in 1..70_000_usize,
    ) {
        let plain = content(length);
        let pieces: Vec<&[u8]> = plain.chunks(cut).collect();
        let sealed = seal(&key(3), Part::Logs, &pieces);
        prop_assert!(sealed == seal(&key(3), Part::Logs, &[&plain]));
        let pieces: Vec<&[u8]> = sealed.chunks(sealed_cut).collect();
        prop_assert!(open(&key(3), Part::Logs, &pieces).unwrap() == plain);
    }

    #[test]
    fn bytes_of_anybody_open_as_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..3_000),
    ) {
        prop_assert!(open(&key(1), Part::Input, &[&bytes]).is_err());
    }
}
