//! A stream as bytes that blocking code reads, on a thread that may block.
//!
//! Takes a stream and the work, gives the work's result, unless the stream
//! itself failed: then the work saw an early end, and its result counts for
//! nothing.

use std::io::{self, Read};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::task::Tasks;

/// Pieces of the stream that may wait for the work.
const PIECES_AHEAD: usize = 16;

/// Does `work` with the bytes of `source`.
///
/// # Errors
/// The stream's own; the work's result is inside.
pub(crate) async fn piped<S, E, T, W>(source: S, work: W) -> Result<io::Result<T>, E>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    T: Send + 'static,
    W: FnOnce(Pieces) -> T + Send + 'static,
{
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let reader = Pieces {
        receiver,
        rest: Bytes::new(),
    };
    let work = Tasks::new().spawn_blocking(move || work(reader));
    let mut source = std::pin::pin!(source);
    while let Some(piece) = source.next().await {
        if pieces.send(piece?).await.is_err() {
            break;
        }
    }
    drop(pieces);
    Ok(work.await.map_err(io::Error::other))
}

/// The stream's pieces as blocking bytes.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let n = self.rest.len().min(buffer.len());
        let piece = self.rest.split_to(n);
        if let Some(room) = buffer.get_mut(..n) {
            room.copy_from_slice(&piece);
        }
        Ok(n)
    }
}
