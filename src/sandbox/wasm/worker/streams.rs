//! The guest's standard input and output, between its memory and the kernel.
//!
//! Input comes from a FIFO without a thread in between; output stays in memory
//! while it is small, then goes to a file, and ends the guest at its limit.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::net::unix::pipe;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdinStream, StdoutStream},
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

use super::Failure;
use crate::sandbox::capped::{Out, Refused};

/// The most that one read takes: beyond this, fewer system calls no longer pay.
const CHUNK_BYTES: usize = 64 << 10;

/// Standard input. All clones read the same stream.
#[derive(Clone)]
pub(super) struct Stdin(Arc<pipe::Receiver>);

impl Stdin {
    /// Opens the FIFO, whose writer has it open already, and removes its name.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let receiver = pipe::OpenOptions::new().open_receiver(path)?;
        std::fs::remove_file(path)?;
        Ok(Self(Arc::new(receiver)))
    }
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        let _read_tells = self.0.readable().await;
    }
}

#[async_trait]
impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut buffer = Vec::with_capacity(size.min(CHUNK_BYTES));
        match self.0.try_read_buf(&mut buffer) {
            Ok(0) if size > 0 => Err(StreamError::Closed),
            Ok(_) => Ok(buffer.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(StreamError::Trap(error.into())),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        loop {
            let bytes = self.read(size)?;
            if size == 0 || !bytes.is_empty() {
                return Ok(bytes);
            }
            self.ready().await;
        }
    }
}

/// Standard output. All clones write to the same one.
#[derive(Clone)]
pub(super) struct Stdout(Arc<Mutex<Out>>);

impl Stdout {
    /// At most `limit` bytes, in `path` where they are many.
    pub(super) fn at(path: PathBuf, limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Out::at(path, limit))))
    }

    /// Appends `bytes`, all or none.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.lock().append(bytes).map_err(|refused| match refused {
            Refused::Fault(fault) => fault.into(),
            Refused::Io(error) => error.into(),
        })
    }

    /// The length of the whole, and the whole where it is in no file.
    pub(super) fn finish(&self) -> io::Result<(u64, Option<Bytes>)> {
        self.lock().finish()
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Stdout {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdout {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Stdout {
    async fn ready(&mut self) {}
}

impl OutputStream for Stdout {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes)
            .map_err(|failure| StreamError::Trap(super::guest::stop(failure)))
    }

    /// Nobody reads the file before the guest ends.
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }
}
