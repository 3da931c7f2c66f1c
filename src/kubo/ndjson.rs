//! Streams of JSON, one object a line.
//!
//! Takes [`Frames`], gives typed items. Bounded: a line that grows over its
//! limit is an error before it is in memory. An object that is a failure is an
//! error, and so is a last line without its end.

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;

use super::{Error, body::Frames, error::Failure};

/// Longest line of an ordinary answer.
pub(super) const LINE_LIMIT: usize = 1 << 20;

/// The items of an answer.
#[derive(Debug)]
pub(super) struct Lines<T> {
    frames: Frames,
    buffer: BytesMut,
    /// So much of the buffer holds no end of line.
    searched: usize,
    limit: usize,
    item: PhantomData<fn() -> T>,
}

impl<T> Lines<T> {
    pub(super) fn new(frames: Frames, limit: usize) -> Self {
        Self {
            frames,
            buffer: BytesMut::new(),
            searched: 0,
            limit,
            item: PhantomData,
        }
    }

    pub(super) fn command(&self) -> &'static str {
        self.frames.command()
    }

    /// A whole line, without its end, that is in the buffer already.
    fn take_line(&mut self) -> Result<Option<Bytes>, Error> {
        let fresh = self.buffer.get(self.searched..).unwrap_or_default();
        let end = fresh
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| at + self.searched);
        if end.unwrap_or(self.buffer.len()) > self.limit {
            return Err(Error::FrameTooLong {
                command: self.command(),
                limit: self.limit,
            });
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        self.searched = 0;
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        Ok(Some(line))
    }

    /// The next line that is not blank. Cancel-safe.
    async fn next_line(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.take_line()? {
                Some(line) if line.trim_ascii().is_empty() => continue,
                Some(line) => return Ok(Some(line)),
                None => {}
            }
            match self.frames.next().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => {
                    self.buffer.clear();
                    self.searched = 0;
                    return Err(self.frames.truncated());
                }
            }
        }
    }
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next item, or nothing after the last. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<T>, Error> {
        let Some(line) = self.next_line().await? else {
            return Ok(None);
        };
        if let Some(failure) = failure_in(&line) {
            return Err(failure.into_error(self.command()));
        }
        let item = serde_json::from_slice(&line);
        item.map(Some).map_err(|error| Error::BadAnswer {
            command: self.command(),
            reason: error.to_string(),
        })
    }
}

/// An in-band failure. Long lines are messages, never failures: they are not
/// parsed twice.
fn failure_in(line: &[u8]) -> Option<Failure> {
    const LONGEST_FAILURE: usize = 64 << 10;
    if line.len() > LONGEST_FAILURE {
        None
    } else {
        Failure::parse(line)
    }
}
