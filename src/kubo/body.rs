//! Bodies that never end well when they are cut.
//!
//! Takes an HTTP response, gives its bytes, and at the end the truth: length,
//! trailer and time are checked. Never gives `None` for a body whose end was
//! not seen.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body as _, Frame};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Error, upload::Meter};

/// Kubo's trailer for what went wrong after the first byte.
const STREAM_ERROR: &str = "x-stream-error";
const CONTENT_LENGTH: &str = "x-content-length";

/// Kubo's headers for what kind of stream follows. They also tell an answer
/// from the empty 200 that a malformed `timeout=` gets.
const LINES: &str = "x-chunked-output";
const BYTES: &str = "x-stream-output";

/// How long one exchange may take and may stand still.
#[derive(Debug)]
pub(super) struct Patience {
    command: &'static str,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    stall: Option<Duration>,
    /// Armed while waiting for Kubo, never while the reader takes its time.
    stalled: Option<Pin<Box<Sleep>>>,
    meter: Option<Arc<Meter>>,
    seen: u64,
}

impl Patience {
    pub(super) fn new(
        command: &'static str,
        limit: Duration,
        stall: Option<Duration>,
        meter: Option<Arc<Meter>>,
    ) -> Self {
        Self {
            command,
            limit,
            deadline: None,
            stall,
            stalled: None,
            meter,
            seen: 0,
        }
    }

    /// Sets or lifts the deadline of the whole exchange.
    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline.map(|at| Box::pin(sleep_until(at)));
    }

    /// Waits for `future` as long as the limits allow.
    pub(super) async fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Error> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                self.rest();
                Poll::Ready(Ok(output))
            }
            Poll::Pending => self.poll_over(cx).map(Err),
        })
        .await
    }

    /// Something came: the stall clock starts anew at the next wait.
    fn rest(&mut self) {
        self.stalled = None;
    }

    /// Ready with the error once a limit has passed.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Error::Timeout {
                command: self.command,
                after: self.limit,
            });
        }
        let Some(stall) = self.stall else {
            return Poll::Pending;
        };
        loop {
            let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
            ready!(stalled.as_mut().poll(cx));
            if !self.has_uploaded() {
                return Poll::Ready(Error::Stalled {
                    command: self.command,
                    after: stall,
                });
            }
            self.stalled = None;
        }
    }

    /// Whether the upload moved since this was last asked.
    fn has_uploaded(&mut self) -> bool {
        let sent = self.meter.as_ref().map_or(0, |meter| meter.sent());
        std::mem::replace(&mut self.seen, sent) != sent
    }

    /// The source's own failure, if that is why the exchange broke.
    pub(super) fn blame(&self, error: Error) -> Error {
        self.meter
            .as_ref()
            .and_then(|meter| meter.failure())
            .unwrap_or(error)
    }
}

/// The body of an answer, checked.
#[derive(Debug)]
pub(super) struct Frames {
    body: reqwest::Body,
    patience: Patience,
    got: u64,
    expected: Option<u64>,
    is_stream: bool,
    ended: bool,
}

impl Frames {
    pub(super) fn new(response: reqwest::Response, patience: Patience) -> Self {
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let expected = header(CONTENT_LENGTH).and_then(|value| value.parse().ok());
        let is_stream = header(LINES).or(header(BYTES)).is_some();
        let body = http::Response::<reqwest::Body>::from(response).into_body();
        Self {
            body,
            patience,
            got: 0,
            expected,
            is_stream,
            ended: false,
        }
    }

    pub(super) fn command(&self) -> &'static str {
        self.patience.command
    }

    pub(super) fn got(&self) -> u64 {
        self.got
    }

    /// Refuses an answer that is no stream where one is due.
    pub(super) fn streamed(self) -> Result<Self, Error> {
        let command = self.command();
        if self.is_stream {
            Ok(self)
        } else {
            Err(Error::EmptyAnswer { command })
        }
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        while !self.ended {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return self.patience.poll_over(cx).map(|error| self.fail(error));
            };
            self.patience.rest();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.is_empty() => {}
                Some(Ok(Ok(data))) => {
                    self.got += data.len() as u64;
                    return Poll::Ready(Some(Ok(data)));
                }
                Some(Ok(Err(frame))) => {
                    if let Some(error) = self.trailer_error(frame) {
                        return Poll::Ready(self.fail(error));
                    }
                }
                Some(Err(_cut)) => {
                    let error = self.patience.blame(self.truncated());
                    return Poll::Ready(self.fail(error));
                }
                None => {
                    self.ended = true;
                    if self.expected.is_some_and(|expected| expected != self.got) {
                        return Poll::Ready(Some(Err(self.truncated())));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn fail<T>(&mut self, error: Error) -> Option<Result<T, Error>> {
        self.ended = true;
        Some(Err(error))
    }

    pub(super) fn truncated(&self) -> Error {
        Error::Truncated {
            command: self.command(),
            got: self.got,
            expected: self.expected,
        }
    }

    fn trailer_error(&self, frame: Frame<Bytes>) -> Option<Error> {
        let trailers = frame.into_trailers().ok()?;
        let value = trailers.get(STREAM_ERROR)?;
        let message = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let command = self.command();
        Some(Error::from_trailer(command, message).or_timeout(command, self.patience.limit))
    }

    /// Reads all of it into memory, up to `limit` bytes.
    pub(super) async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(data) = self.next().await? {
            all.extend_from_slice(&data);
            if all.len() > limit {
                let (size, limit) = (all.len() as u64, limit as u64);
                return Err(Error::TooLarge {
                    what: self.command(),
                    size,
                    limit,
                });
            }
        }
        Ok(all.freeze())
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| self.poll_data(cx))
            .await
            .transpose()
    }
}

/// How the end of a stream proves itself, besides the trailer.
#[derive(Debug)]
enum End {
    /// By the announced length, checked in [`Frames`].
    Length(u64),
    /// A tar ends with two blocks of zeros: so many zeros end what came so far.
    Tar(u64),
    /// By nothing: the reader checks every block and the whole DAG.
    Car,
}

/// Bytes from Kubo. Ends with an error, never quietly, if they are not all
/// there; dropping it ends the transfer.
#[derive(Debug)]
pub struct Content {
    frames: Frames,
    end: End,
}

impl Content {
    /// A file's bytes: needs the announced length.
    pub(super) fn file(frames: Frames) -> Result<Self, Error> {
        let frames = frames.streamed()?;
        let length = frames.expected.ok_or_else(|| Error::BadAnswer {
            command: frames.command(),
            reason: "the length is not announced".to_owned(),
        })?;
        Ok(Self {
            frames,
            end: End::Length(length),
        })
    }

    /// A tar. What Kubo announces there is the length of the files in it.
    pub(super) fn tar(frames: Frames) -> Result<Self, Error> {
        let frames = Frames {
            expected: None,
            ..frames.streamed()?
        };
        Ok(Self {
            frames,
            end: End::Tar(0),
        })
    }

    pub(super) fn car(frames: Frames) -> Result<Self, Error> {
        Ok(Self {
            frames: frames.streamed()?,
            end: End::Car,
        })
    }

    /// How many bytes will come, where it is known beforehand.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.end {
            End::Length(length) => Some(length),
            End::Tar(_) | End::Car => None,
        }
    }

    /// The next bytes, or nothing after the last. Cancel-safe.
    ///
    /// # Errors
    /// Whatever cut the transfer; after an error nothing more comes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| self.poll_bytes(cx))
            .await
            .transpose()
    }

    /// Reads all of it into memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as soon as more than `limit` bytes are announced or
    /// have come, else whatever cut the transfer.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let (what, limit) = (self.frames.command(), limit as u64);
        let mut all = BytesMut::new();
        let mut size = self.length().unwrap_or(0);
        while size <= limit {
            let Some(data) = self.next().await? else {
                return Ok(all.freeze());
            };
            all.extend_from_slice(&data);
            size = size.max(all.len() as u64);
        }
        Err(Error::TooLarge { what, size, limit })
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let next = ready!(self.frames.poll_data(cx));
        match (&next, &mut self.end) {
            (Some(Ok(data)), End::Tar(zeros)) => *zeros = trailing_zeros(*zeros, data),
            (Some(Ok(_)), End::Length(length)) if self.frames.got() > *length => {
                return Poll::Ready(self.frames.fail(self.frames.truncated()));
            }
            (None, End::Tar(zeros)) if *zeros < TAR_END => {
                // Reported once; the stream stays ended.
                *zeros = TAR_END;
                return Poll::Ready(Some(Err(self.frames.truncated())));
            }
            _ => {}
        }
        Poll::Ready(next)
    }
}

/// Two blocks of zeros.
const TAR_END: u64 = 1024;

fn trailing_zeros(before: u64, data: &[u8]) -> u64 {
    let zeros = data.iter().rev().take_while(|byte| **byte == 0).count();
    if zeros == data.len() {
        before + zeros as u64
    } else {
        zeros as u64
    }
}

impl Stream for Content {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_bytes(cx)
    }
}
