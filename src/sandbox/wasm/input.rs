//! Brings input to a guest: a little with the request, more through a FIFO in
//! its work directory.
//!
//! Takes a byte stream, gives only failure: the end of the stream closes the
//! FIFO, an error in it must never look like an end. Nothing but a small input
//! is buffered here; the pipe is the whole of what is under way.

use std::{
    convert::Infallible,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::{io::AsyncWriteExt, net::unix::pipe::Sender, sync::Notify};

use crate::sandbox::{Input, SMALL_BYTES, folders};

/// Asked for, not required: users without privileges may get less.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// Standard input before the guest's process knows of it.
pub(super) enum Source {
    None,
    /// All of it was at hand at once.
    Small(Bytes),
    Stream(Input),
}

impl Source {
    /// Looks at what the stream has at hand, without waiting for more.
    pub(super) async fn of(stream: Option<Input>) -> io::Result<Self> {
        let Some(mut stream) = stream else {
            return Ok(Self::None);
        };
        let mut head = BytesMut::new();
        while head.len() <= SMALL_BYTES {
            match stream.next().now_or_never() {
                Some(Some(piece)) => head.extend_from_slice(&piece?),
                Some(None) => return Ok(Self::Small(head.freeze())),
                None => break,
            }
        }
        let head = stream::iter([Ok(head.freeze())]);
        Ok(Self::Stream(head.chain(stream).boxed()))
    }

    /// Small input as it is, larger one behind a FIFO in `work`.
    pub(super) fn open(self, work: &Path) -> io::Result<(Option<Bytes>, Option<Fifo>)> {
        match self {
            Self::None => Ok((None, None)),
            Self::Small(bytes) => Ok((Some(bytes), None)),
            Self::Stream(stream) => Ok((None, Some(Fifo::open(work, stream)?))),
        }
    }
}

/// The writing end of a guest's standard input.
pub(super) struct Fifo {
    path: PathBuf,
    sender: Sender,
    stream: Input,
}

impl Fifo {
    /// Makes the FIFO in `work`. It is open for reading here too, so that
    /// opening blocks neither side.
    fn open(work: &Path, stream: Input) -> io::Result<Self> {
        let path = work.join("stdin");
        make(&path)?;
        folders::own(&path)?;
        let file = File::options().read(true).write(true).open(&path)?;
        #[cfg(target_os = "linux")]
        let _smaller_is_fine = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES);
        Ok(Self {
            path,
            sender: Sender::from_file(file)?,
            stream,
        })
    }

    /// Where the guest's process finds it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    async fn pump(mut self, is_open: &Notify) -> io::Result<()> {
        while let Some(chunk) = self.stream.next().await {
            self.sender.write_all(&chunk?).await?;
        }
        is_open.notified().await;
        Ok(())
    }
}

/// Feeds until something fails, and says what; otherwise waits for ever. The
/// FIFO stays open until `is_open` tells that the guest's process has it too:
/// what is in a pipe that nobody holds is lost, and its end is never seen.
pub(super) async fn feed(fifo: Option<Fifo>, is_open: &Notify) -> io::Error {
    match endless(fifo, is_open).await {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn endless(fifo: Option<Fifo>, is_open: &Notify) -> io::Result<Infallible> {
    if let Some(fifo) = fifo {
        fifo.pump(is_open).await?;
    }
    std::future::pending().await
}

#[cfg(not(target_vendor = "apple"))]
fn make(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, Mode, mkfifoat};
    Ok(mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

#[cfg(target_vendor = "apple")]
fn make(path: &Path) -> io::Result<()> {
    let status = std::process::Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(path)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("mkfifo failed"))
    }
}
