//! One stream: proves whose it is, then carries a session's traffic.
//!
//! Takes a socket, gives why it ended. Frames are envelopes behind a length of
//! four bytes, big-endian. Whoever dialled speaks first; each side believes in
//! the other once an envelope of a living session came over this stream.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep_until, timeout},
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::{
    mesh::{
        receive,
        shared::Shared,
        state::{Item, Stream, StreamTurn},
    },
    wire::{Address, MAX_BYTES, Refusal},
};

/// How long the other end may take to prove itself.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);

type Reader = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;
type Writer = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// Why a stream is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The other end closed it, or Kubo did.
    #[error("closed")]
    Closed,
    /// The system's word.
    #[error("broke: {0}")]
    Broken(String),
    /// It said what no sidecar says.
    #[error("not believed: {0}")]
    Refused(Refusal),
    /// Nothing that proves anything came in time.
    #[error("nobody proved to be there")]
    Unproven,
    /// Something waited for an answer and nothing came.
    #[error("fell silent")]
    Silent,
    /// Another stream took its place.
    #[error("replaced")]
    Replaced,
}

/// A stream whose other end is known.
pub(super) struct Conversation<'a> {
    shared: &'a Shared,
    peer: Address,
    stream: Stream,
    reader: Reader,
    writer: Writer,
}

impl<'a> Conversation<'a> {
    /// Finds out who is at the other end.
    pub(super) async fn begin(
        shared: &'a Shared,
        socket: TcpStream,
        dialled: Option<Address>,
    ) -> Result<Self, Ended> {
        socket.set_nodelay(true).map_err(|e| broken(&e))?;
        let (read, write) = socket.into_split();
        let mut reader = FramedRead::new(read, codec());
        let mut writer = FramedWrite::new(write, codec());
        if let Some(peer) = &dialled {
            let item = shared.state.lock().introduce(peer, Instant::now());
            send(shared, &mut writer, item.ok_or(Ended::Unproven)?).await?;
        }
        let proof = timeout(PROOF_TIMEOUT, proof(shared, &mut reader)).await;
        let peer = proof.unwrap_or(Err(Ended::Unproven))?;
        if dialled.is_some_and(|dialled| dialled != peer) {
            return Err(Ended::Unproven);
        }
        let stream = shared.change(|state| state.begin_stream(&peer, Instant::now()));
        Ok(Self {
            shared,
            peer,
            stream,
            reader,
            writer,
        })
    }

    /// Carries traffic until the end; gives why, and whose it was.
    pub(super) async fn run(self) -> (Ended, Address) {
        let Self {
            shared,
            peer,
            stream,
            mut reader,
            mut writer,
        } = self;
        let _back_to_pubsub = Carrying {
            shared,
            peer: &peer,
            stream: &stream,
        };
        let ended = tokio::select! {
            ended = read(shared, &mut reader) => ended,
            ended = write(shared, &peer, &stream, &mut writer) => ended,
        };
        (ended, peer.clone())
    }
}

/// Gives the traffic back to pubsub when dropped.
struct Carrying<'a> {
    shared: &'a Shared,
    peer: &'a Address,
    stream: &'a Stream,
}

impl Drop for Carrying<'_> {
    fn drop(&mut self) {
        self.shared
            .change(|state| state.end_stream(self.peer, self.stream, Instant::now()));
    }
}

async fn proof(shared: &Shared, reader: &mut Reader) -> Result<Address, Ended> {
    let data = next(reader).await?;
    take(shared, &data)?.ok_or(Ended::Unproven)
}

async fn read(shared: &Shared, reader: &mut Reader) -> Ended {
    loop {
        let taken = match next(reader).await {
            Ok(data) => take(shared, &data),
            Err(ended) => return ended,
        };
        if let Err(ended) = taken {
            return ended;
        }
    }
}

/// Opens one envelope; none where it is of a session that is over.
fn take(shared: &Shared, data: &[u8]) -> Result<Option<Address>, Ended> {
    let taken = receive::take_streamed(shared, data, Instant::now());
    shared.happened.notify_one();
    shared.changed.notify_waiters();
    match taken {
        Ok(peer) => Ok(Some(peer)),
        Err(Refusal::Session | Refusal::Replay) => Ok(None),
        Err(refusal) => Err(Ended::Refused(refusal)),
    }
}

async fn write(shared: &Shared, peer: &Address, stream: &Stream, writer: &mut Writer) -> Ended {
    loop {
        let turn = shared
            .state
            .lock()
            .stream_turn(peer, stream, Instant::now());
        match turn {
            StreamTurn::Send(item) => {
                if let Err(ended) = send(shared, writer, *item).await {
                    return ended;
                }
                shared.changed.notify_waiters();
            }
            StreamTurn::Wait(until) => tokio::select! {
                () = stream.wake.notified() => {}
                () = sleep_until(until) => {}
            },
            StreamTurn::Replaced => return Ended::Replaced,
            StreamTurn::Silent => return Ended::Silent,
        }
    }
}

async fn send(shared: &Shared, writer: &mut Writer, item: Item) -> Result<(), Ended> {
    let sealed = item.seal(&shared.config.mesh, &shared.me, &shared.identity);
    let bytes = sealed.map_err(Ended::Refused)?;
    writer.send(bytes).await.map_err(|e| broken(&e))?;
    shared.state.lock().counters.streamed += 1;
    Ok(())
}

async fn next(reader: &mut Reader) -> Result<BytesMut, Ended> {
    match reader.next().await {
        Some(Ok(data)) => Ok(data),
        Some(Err(error)) => Err(broken(&error)),
        None => Err(Ended::Closed),
    }
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(4)
        .max_frame_length(MAX_BYTES)
        .new_codec()
}

fn broken(error: &std::io::Error) -> Ended {
    Ended::Broken(error.to_string())
}
