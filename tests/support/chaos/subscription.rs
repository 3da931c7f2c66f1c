//! `pubsub/sub`: a stream of messages, one a line, on its way to the sidecar.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{Blow, Shared, topic};

/// How long messages wait for others to overtake them.
const REORDER: Duration = Duration::from_millis(30);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);
/// What was sent so far has left the buffers.
const FLUSHED: Duration = Duration::from_millis(20);

type Piece = Result<Frame<Bytes>, io::Error>;

/// Nobody waits for more.
struct Over;

/// Opens a subscription and keeps between its ends.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
) -> io::Result<Response> {
    let topic = topic(&request);
    let blows = shared.blows.subscribe();
    let (head, body) = shared.pass(request).await?.into_parts();
    if head.status != http::StatusCode::OK {
        return Ok(Response::from_parts(head, Body::new(body)));
    }
    let forged = shared.forged.open(&topic);
    shared.count(|counts| *counts.subscribed.entry(topic).or_default() += 1);
    let (out, pieces) = mpsc::channel(1);
    let passage = Passage {
        shared: Arc::clone(shared),
        out,
        blows,
        forged,
        unread: BytesMut::new(),
        held: VecDeque::new(),
        is_mute: false,
        is_stalled: false,
    };
    shared.serving.spawn("chaos.subscription", async move {
        let _either_end_left = passage.run(body).await;
    });
    let body = StreamBody::new(ReceiverStream::new(pieces));
    Ok(Response::from_parts(head, Body::new(body)))
}

/// One subscription's way through the proxy.
struct Passage {
    shared: Arc<Shared>,
    out: mpsc::Sender<Piece>,
    blows: watch::Receiver<Blow>,
    forged: mpsc::Receiver<Bytes>,
    unread: BytesMut,
    /// Lines with the time at which each is due, oldest first.
    held: VecDeque<(Instant, Bytes)>,
    is_mute: bool,
    is_stalled: bool,
}

impl Passage {
    async fn run(mut self, mut body: Incoming) -> Result<(), Over> {
        let out = self.out.clone();
        loop {
            let due = self.held.iter().map(|(due, _)| *due).min();
            let due = due.unwrap_or_else(|| Instant::now() + NEVER);
            tokio::select! {
                () = out.closed() => return Err(Over),
                blow = self.blows.changed() => {
                    blow.map_err(|_| Over)?;
                    let blow = *self.blows.borrow_and_update();
                    self.meet(blow).await?;
                }
                () = sleep_until(due) => {}
                Some(line) = self.forged.recv() => self.send(Ok(Frame::data(line))).await?,
                frame = body.frame(), if !self.is_stalled => match frame {
                    Some(Ok(frame)) => self.take(frame).await?,
                    Some(Err(error)) => return self.send(Err(io::Error::other(error))).await,
                    None => return Ok(()),
                },
            }
            self.release().await?;
        }
    }

    async fn meet(&mut self, blow: Blow) -> Result<(), Over> {
        match blow {
            Blow::End => return Err(Over),
            Blow::CutLine => {
                let half = Bytes::from_static(b"{\"from\":\"12D3Koo");
                self.send(Ok(Frame::data(half))).await?;
                sleep(FLUSHED).await;
                self.send(Err(io::Error::other("cut"))).await?;
                return Err(Over);
            }
            Blow::HalfOpen => self.is_mute = true,
            Blow::Stall => self.is_stalled = true,
            Blow::Resume => self.is_stalled = false,
        }
        Ok(())
    }

    async fn take(&mut self, frame: Frame<Bytes>) -> Result<(), Over> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return self.send(Ok(trailers)).await,
        };
        self.unread.extend_from_slice(&data);
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line = self.unread.split_to(end + 1).freeze();
            self.hold(line);
        }
        Ok(())
    }

    /// Lets a message in, not at all, or more than once.
    fn hold(&mut self, line: Bytes) {
        let faults = self.shared.faults();
        self.shared.count(|counts| counts.messages += 1);
        if self.is_mute || self.shared.hits(faults.drop) {
            return self.shared.count(|counts| counts.dropped += 1);
        }
        let line = if self.shared.hits(faults.garble) {
            self.shared.count(|counts| counts.garbled += 1);
            Bytes::from_static(b"{\"from\":[\"nobody\"],\"data\":7}\n")
        } else {
            line
        };
        let waits = if faults.window > 0 {
            REORDER
        } else {
            Duration::ZERO
        };
        let due = Instant::now() + faults.delay + waits;
        self.shared
            .count(|counts| counts.copied += faults.copies as u64);
        (0..=faults.copies).for_each(|_| self.held.push_back((due, line.clone())));
    }

    /// Sends what is due, in a drawn order where there is a window.
    async fn release(&mut self) -> Result<(), Over> {
        loop {
            let faults = self.shared.faults();
            let is_full = faults.window > 0 && self.held.len() >= faults.window;
            let now = Instant::now();
            if !is_full && !self.held.iter().any(|(due, _)| *due <= now) {
                return Ok(());
            }
            let among = faults.window.clamp(1, self.held.len());
            let drawn = self.shared.below(among);
            let Some((_, line)) = self.held.remove(drawn) else {
                return Ok(());
            };
            self.shared
                .count(|counts| counts.overtook += u64::from(drawn > 0));
            self.send_line(line, faults.slow).await?;
        }
    }

    async fn send_line(
        &self,
        mut line: Bytes,
        slow: Option<(usize, Duration)>,
    ) -> Result<(), Over> {
        while let Some((bytes, pause)) = slow.filter(|(bytes, _)| line.len() > *bytes) {
            let piece = line.split_to(bytes);
            self.send(Ok(Frame::data(piece))).await?;
            sleep(pause).await;
        }
        self.send(Ok(Frame::data(line))).await
    }

    async fn send(&self, piece: Piece) -> Result<(), Over> {
        self.out.send(piece).await.map_err(|_| Over)
    }
}
