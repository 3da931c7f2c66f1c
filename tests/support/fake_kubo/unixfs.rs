//! UnixFS in DAG-PB, enough for real CIDs: 256 KiB raw leaves, balanced nodes
//! of 174 links, plain directories, symlinks.
//!
//! Sources: <https://specs.ipfs.tech/unixfs/>, checked against `ipfs add`.

use std::collections::BTreeMap;

use bytes::Bytes;
use cid::Cid;
use timerose::kubo::Codec;

const CHUNK: usize = 262_144;
const WIDTH: usize = 174;

/// A link of a node with what the parent has to know of the child.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) cid: Cid,
    /// Bytes of all blocks below and with the child.
    pub(super) total: u64,
    /// Bytes of the file below; 0 for others.
    pub(super) file_size: u64,
}

/// A decoded node.
pub(super) enum Node {
    File { data: Bytes, links: Vec<Link> },
    Directory(Vec<Link>),
    Symlink(String),
}

/// Blocks made on the way.
pub(super) type Blocks = Vec<(Cid, Bytes)>;

fn leaf(bytes: Bytes, blocks: &mut Blocks) -> Link {
    let cid = Codec::Raw.cid(&bytes);
    let size = bytes.len() as u64;
    blocks.push((cid, bytes));
    Link {
        name: String::new(),
        cid,
        total: size,
        file_size: size,
    }
}

/// A file of any size.
pub(super) fn file(bytes: &Bytes, blocks: &mut Blocks) -> Link {
    let starts = (0..bytes.len().max(1)).step_by(CHUNK);
    let mut level: Vec<Link> = starts
        .map(|start| leaf(bytes.slice(start..bytes.len().min(start + CHUNK)), blocks))
        .collect();
    while level.len() > 1 {
        level = level
            .chunks(WIDTH)
            .map(|links| parent(links, blocks))
            .collect();
    }
    level.remove(0)
}

fn parent(links: &[Link], blocks: &mut Blocks) -> Link {
    let size = links.iter().map(|link| link.file_size).sum();
    let mut data = vec![];
    number(&mut data, 1, 2);
    number(&mut data, 3, size);
    for link in links {
        number(&mut data, 4, link.file_size);
    }
    Link {
        file_size: size,
        ..node(links, &data, blocks)
    }
}

/// A directory of what is already added.
pub(super) fn directory(entries: &BTreeMap<String, Link>, blocks: &mut Blocks) -> Link {
    let links: Vec<Link> = entries
        .iter()
        .map(|(name, link)| Link {
            name: name.clone(),
            ..link.clone()
        })
        .collect();
    let mut data = vec![];
    number(&mut data, 1, 1);
    node(&links, &data, blocks)
}

pub(super) fn symlink(target: &[u8], blocks: &mut Blocks) -> Link {
    let mut data = vec![];
    number(&mut data, 1, 4);
    field(&mut data, 2, target);
    node(&[], &data, blocks)
}

fn node(links: &[Link], data: &[u8], blocks: &mut Blocks) -> Link {
    let mut bytes = vec![];
    for link in links {
        let mut encoded = vec![];
        field(&mut encoded, 1, &link.cid.to_bytes());
        field(&mut encoded, 2, link.name.as_bytes());
        number(&mut encoded, 3, link.total);
        field(&mut bytes, 2, &encoded);
    }
    field(&mut bytes, 1, data);
    let cid = Codec::DagPb.cid(&bytes);
    let total = bytes.len() as u64 + links.iter().map(|link| link.total).sum::<u64>();
    blocks.push((cid, bytes.into()));
    Link {
        name: String::new(),
        cid,
        total,
        file_size: 0,
    }
}

fn varint(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(unsigned_varint::encode::u64(value, &mut Default::default()));
}

fn number(out: &mut Vec<u8>, tag: u64, value: u64) {
    varint(out, tag << 3);
    varint(out, value);
}

fn field(out: &mut Vec<u8>, tag: u64, value: &[u8]) {
    varint(out, tag << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// The fields of a protobuf message: tag, number, bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut list = vec![];
    while !bytes.is_empty() {
        let (key, rest) = unsigned_varint::decode::u64(bytes).unwrap();
        let (value, rest) = unsigned_varint::decode::u64(rest).unwrap();
        let length = if key & 7 == 2 { value as usize } else { 0 };
        list.push((key >> 3, value, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    list
}

/// Reads a block as UnixFS.
pub(super) fn decode(cid: &Cid, bytes: &Bytes) -> Result<Node, String> {
    if cid.codec() == Codec::Raw.code() {
        return Ok(Node::File {
            data: bytes.clone(),
            links: vec![],
        });
    }
    if cid.codec() != Codec::DagPb.code() {
        return Err("unrecognized object type".to_owned());
    }
    let parts = fields(bytes);
    let mut links: Vec<Link> = parts
        .iter()
        .filter(|(tag, ..)| *tag == 2)
        .map(|(.., link)| decode_link(link))
        .collect();
    let data = parts
        .iter()
        .find(|(tag, ..)| *tag == 1)
        .map(|(.., data)| fields(data))
        .unwrap();
    let kind = data.iter().find(|(tag, ..)| *tag == 1).unwrap().1;
    let content = data
        .iter()
        .find(|(tag, ..)| *tag == 2)
        .map(|(.., bytes)| bytes.clone());
    let sizes = data
        .iter()
        .filter(|(tag, ..)| *tag == 4)
        .map(|(_, size, _)| *size);
    for (link, size) in links.iter_mut().zip(sizes) {
        link.file_size = size;
    }
    let content = content.unwrap_or_default();
    Ok(match kind {
        1 => Node::Directory(links),
        4 => Node::Symlink(String::from_utf8(content).unwrap()),
        _ => Node::File {
            data: content.into(),
            links,
        },
    })
}

fn decode_link(bytes: &[u8]) -> Link {
    let parts = fields(bytes);
    let part = |tag| parts.iter().find(|(t, ..)| *t == tag).unwrap();
    Link {
        name: String::from_utf8(part(2).2.clone()).unwrap(),
        cid: Cid::try_from(part(1).2.as_slice()).unwrap(),
        total: part(3).1,
        file_size: 0,
    }
}
