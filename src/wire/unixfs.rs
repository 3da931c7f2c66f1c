//! UnixFS nodes of one block: files without links, and what a root is.
//!
//! Takes the bytes of a DAG-PB block, gives what its UnixFS part says, and the
//! other way round for a file of one chunk. Never fetches: of a file of several
//! chunks it only knows that it is one. Formats: the DAG-PB and UnixFS
//! specifications of IPFS.

use bytes::Bytes;
use ipld_dagpb::PbNode;

/// Field numbers of UnixFS's `Data`, as protobuf tags.
const TYPE: u8 = 0x08;
const DATA: u8 = 0x12;
const FILE_SIZE: u8 = 0x18;
/// Values of its type.
const DIRECTORY: u8 = 1;
const FILE: u8 = 2;
const SHARDED_DIRECTORY: u8 = 5;

/// Whether a root is a plain or a sharded directory; none when it is no UnixFS
/// at all.
#[must_use]
pub fn is_directory(root: Bytes) -> Option<bool> {
    let node = PbNode::from_bytes(root).ok()?;
    let [TYPE, kind, ..] = node.data.as_deref()? else {
        return None;
    };
    Some(matches!(*kind, DIRECTORY | SHARDED_DIRECTORY))
}

/// The content of a file that is this one block; none where it is something
/// else, or has further blocks.
#[must_use]
pub fn content(block: Bytes) -> Option<Bytes> {
    let node = PbNode::from_bytes(block).ok()?;
    let data = node.data.filter(|_| node.links.is_empty())?;
    let [TYPE, FILE, rest @ ..] = &data[..] else {
        return None;
    };
    let (content, size) = match rest {
        [DATA, rest @ ..] => {
            let (length, rest) = varint(rest)?;
            let content = rest.get(..usize::try_from(length).ok()?)?;
            (content, rest.get(content.len()..)?)
        }
        rest => (&[][..], rest),
    };
    let is_whole = match size {
        [] => true,
        [FILE_SIZE, size @ ..] => varint(size)? == (content.len() as u64, &[][..]),
        _ => false,
    };
    is_whole.then(|| data.slice_ref(content))
}

/// The block of a file of one chunk, the same that Kubo makes of it with
/// `--raw-leaves=false`.
#[must_use]
pub fn file(content: &[u8]) -> Vec<u8> {
    let mut data = vec![TYPE, FILE];
    if !content.is_empty() {
        data.push(DATA);
        push_varint(&mut data, content.len() as u64);
        data.extend_from_slice(content);
    }
    data.push(FILE_SIZE);
    push_varint(&mut data, content.len() as u64);
    PbNode {
        links: Vec::new(),
        data: Some(data.into()),
    }
    .into_bytes()
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(7 * u32::try_from(at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

fn push_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{block::DAG_PB, cid_of};

    #[test]
    fn files_have_the_names_that_kubo_gives_them() {
        let empty = file(b"");
        assert_eq!(empty, [0x0a, 4, 8, 2, 0x18, 0]);
        assert_eq!(
            cid_of(DAG_PB, &file(b"hello\n")).to_string(),
            "bafybeiffndsajwhk3lwjewwdxqntmjm4b5wxaaanokonsggenkbw6slwk4"
        );
    }

    #[test]
    fn a_directory_is_no_file_and_nothing_else_is_either() {
        let directory = Bytes::from_static(&[0x0a, 2, 8, 1]);
        assert_eq!(is_directory(directory.clone()), Some(true));
        assert_eq!(content(directory), None);
        assert_eq!(
            content(Bytes::from_static(b"\x0a\x05\x08\x02\x12\x09a")),
            None
        );
        assert_eq!(is_directory(Bytes::from_static(b"hello")), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(content(file(&bytes).into()).unwrap(), bytes);
        }

        #[test]
        fn nothing_that_is_read_is_longer_than_its_block(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let length = bytes.len();
            prop_assert!(content(bytes.into()).is_none_or(|content| content.len() <= length));
        }
    }
}
