//! CARv1, whole in memory. Source: <https://ipld.io/specs/transport/car/carv1/>.

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};

use super::unixfs::Blocks;

#[derive(Deserialize, Serialize)]
struct Header {
    roots: Vec<Cid>,
    version: u64,
}

pub(super) fn encode(root: Cid, blocks: &[(Cid, Bytes)]) -> Bytes {
    let mut out = vec![];
    section(
        &mut out,
        &serde_ipld_dagcbor::to_vec(&Header {
            roots: vec![root],
            version: 1,
        })
        .unwrap(),
    );
    for (cid, bytes) in blocks {
        section(&mut out, &[&cid.to_bytes(), bytes.as_ref()].concat());
    }
    out.into()
}

fn section(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(unsigned_varint::encode::usize(
        bytes.len(),
        &mut Default::default(),
    ));
    out.extend_from_slice(bytes);
}

/// Roots and blocks, or why it is no whole CAR.
pub(super) fn decode(bytes: &Bytes) -> Result<(Vec<Cid>, Blocks), String> {
    let (header, mut rest) = take(bytes)?;
    let header: Header = serde_ipld_dagcbor::from_slice(header).map_err(|e| e.to_string())?;
    let mut blocks = vec![];
    while !rest.is_empty() {
        let (section, tail) = take(rest)?;
        let mut data = section;
        let cid = Cid::read_bytes(&mut data).map_err(|e| e.to_string())?;
        timerose::kubo::verify_block(&cid, data).map_err(|e| e.to_string())?;
        blocks.push((cid, Bytes::copy_from_slice(data)));
        rest = tail;
    }
    Ok((header.roots, blocks))
}

fn take(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let cut = || "import failed: unexpected EOF".to_owned();
    let (length, rest) = unsigned_varint::decode::usize(bytes).map_err(|_| cut())?;
    rest.split_at_checked(length).ok_or_else(cut)
}
