//! Streams input into a guest through a FIFO in its work directory.
//!
//! Takes a byte stream, gives only failure: the end of the stream closes the
//! FIFO, an error in it must never look like an end. Nothing is buffered here;
//! the pipe is the whole of what is under way.

use std::{
    convert::Infallible,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use futures_util::StreamExt;
use tokio::{io::AsyncWriteExt, net::unix::pipe::Sender, sync::Notify};

use crate::sandbox::Input;

/// Asked for, not required: users without privileges may get less.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// The writing end of a guest's standard input.
pub(super) struct Fifo {
    path: PathBuf,
    sender: Sender,
    stream: Input,
}

impl Fifo {
    /// Makes the FIFO in `work`. It is open for reading here too, so that
    /// opening blocks neither side.
    pub(super) fn open(work: &Path, stream: Input) -> io::Result<Self> {
        let path = work.join("stdin");
        make(&path)?;
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
