//! Layers without their compression.
//!
//! Takes a layer's file, gives what reads it plainly, where it is compressed as
//! images are: by gzip or Zstandard. Never decides by a name. The one form of a
//! layer makes it the same blocks whoever packed it, and lets its size be
//! bounded before an engine unpacks it.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use zstd::Decoder;

/// How gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How a Zstandard frame begins (RFC 8878).
const ZSTANDARD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads the layer at `path` plainly; none where it is plain already.
pub(super) fn open(path: &Path) -> io::Result<Option<Box<dyn Read>>> {
    let mut file = File::open(path)?;
    let mut begins = Vec::new();
    file.by_ref().take(4).read_to_end(&mut begins)?;
    file.rewind()?;
    let file = BufReader::new(file);
    Ok(match begins {
        begins if begins.starts_with(&GZIP) => Some(Box::new(MultiGzDecoder::new(file))),
        begins if begins.starts_with(&ZSTANDARD) => Some(Box::new(Decoder::with_buffer(file)?)),
        _ => None,
    })
}
