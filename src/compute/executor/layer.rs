//! A layer of an image on its way to the engine, read on the way.
//!
//! Takes the layer's bytes, gives the same bytes, each piece only once it has
//! been read as TAR. Ends with an error before the engine sees what would grow
//! there: compression, holes of sparse files, entries without number; and what
//! engines read in another way than this, so that nothing hides. Never holds more
//! than a piece and a header.

use std::io::{self, Read};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::compute::{
    ByteStream,
    piped::{Pieces, piped},
};

/// Entries of one layer; the largest images in use have a few hundred thousand.
const MAX_ENTRIES: usize = 1_000_000;
/// Bytes of a header of records; engines take as many.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// How records of a PAX header begin that describe holes.
const HOLES: &[u8] = b"GNU.sparse";
/// Bytes that are handed on at once, at least.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that may wait for the engine.
const PIECES_AHEAD: usize = 4;

/// The bytes of `layer` as far as they are harmless.
pub(super) fn checked<S>(layer: S) -> ByteStream
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let failed = pieces.clone();
    let reading = async move {
        let read = piped(layer, move |from| look(Checked::new(from, pieces))).await;
        if let Err(error) = read.flatten().flatten() {
            let _the_engine_gave_up = failed.send(Err(error)).await;
        }
    };
    // The reading goes on while the engine asks, and ends with it.
    let reading = stream::once(reading).filter_map(|()| future::ready(None));
    stream::select(ReceiverStream::new(receiver), reading).boxed()
}

/// Reads every header as it lies there, then whatever follows the archive's end.
fn look(mut layer: Checked) -> io::Result<()> {
    let mut archive = Archive::new(&mut layer);
    for (number, entry) in archive.entries()?.raw(true).enumerate() {
        let mut entry = entry.map_err(|error| refused(&format!("is no TAR archive: {error}")))?;
        if number >= MAX_ENTRIES {
            return Err(refused("has too many entries"));
        }
        if let Some(why) = harm(&mut entry)? {
            return Err(refused(why));
        }
    }
    io::copy(&mut layer, &mut io::sink())?;
    Ok(())
}

/// What of an entry would grow in the engine, or be read otherwise there.
fn harm(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<&'static str>> {
    let is_empty = entry.size() == 0;
    Ok(match entry.header().entry_type() {
        EntryType::GNUSparse => Some("has a file with holes"),
        EntryType::XHeader | EntryType::XGlobalHeader => match entry.size() {
            ..=MAX_HEADER_BYTES => harm_in_records(entry)?,
            _ => Some("has a header that is too long"),
        },
        EntryType::Link
        | EntryType::Symlink
        | EntryType::Char
        | EntryType::Block
        | EntryType::Directory
        | EntryType::Fifo => (!is_empty).then_some("has content where none can be"),
        _ => None,
    })
}

fn harm_in_records(header: &mut Entry<'_, impl Read>) -> io::Result<Option<&'static str>> {
    for record in header.pax_extensions()?.into_iter().flatten() {
        match record?.key_bytes() {
            key if key.starts_with(HOLES) => return Ok(Some("has a file with holes")),
            b"size" => return Ok(Some("has a file of more than 8 GiB")),
            _ => {}
        }
    }
    Ok(None)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a layer {why}"))
}

/// Bytes that are handed on once more are asked for: then whoever asks has made
/// sense of them.
struct Checked {
    from: Pieces,
    read: Vec<u8>,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Checked {
    const fn new(from: Pieces, to: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            from,
            read: Vec::new(),
            to,
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.read));
        let sent = self.to.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.len() >= PIECE_BYTES {
            self.hand_on()?;
        }
        let n = self.from.read(buffer)?;
        self.read
            .extend_from_slice(buffer.get(..n).unwrap_or_default());
        if n == 0 {
            self.hand_on()?;
        }
        Ok(n)
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
