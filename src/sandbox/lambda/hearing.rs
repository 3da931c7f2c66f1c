//! What a runtime says to its standard output and error, for the log of the
//! invocation that is under way.
//!
//! Takes the connection over which `container-init` passes it on, gives the
//! lines to the log that was handed over; between two invocations, to the
//! next one's.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
};

use crate::sandbox::capped::Log;

/// Of what is said while nobody listens, this much is kept.
const MAX_EARLY_BYTES: usize = 64 << 10;
const PIECE_BYTES: usize = 16 << 10;

/// The listening end.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    ears: Mutex<Ears>,
}

#[derive(Debug, Default)]
struct Ears {
    stream: Option<Arc<UnixStream>>,
    log: Option<Log>,
    /// What was said before there was a log.
    early: Vec<u8>,
}

impl Hearing {
    /// Hears whoever connects, until that one is gone.
    pub(super) async fn listen(&self, listener: UnixListener) -> io::Result<()> {
        let stream = Arc::new(listener.accept().await?.0);
        self.with(|ears| ears.stream = Some(Arc::clone(&stream)));
        loop {
            stream.readable().await?;
            let all = stream.try_io(Interest::READABLE, || match self.catch_up() {
                true => Ok(()),
                false => Err(io::ErrorKind::WouldBlock.into()),
            });
            if all.is_ok() {
                return Ok(());
            }
        }
    }

    /// Takes in all that was said so far; whether that was all there will be.
    /// Asks the kernel itself: the runtime only learns later what came.
    pub(super) fn catch_up(&self) -> bool {
        self.with(|ears| {
            let Some(stream) = ears.stream.clone() else {
                return false;
            };
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match recv(&stream, &mut piece, RecvFlags::DONTWAIT) {
                    Ok((0, _)) => return true,
                    Ok((n, _)) => ears.hear(piece.get(..n).unwrap_or_default()),
                    Err(Errno::INTR) => {}
                    Err(error) => return error != Errno::AGAIN,
                }
            }
        })
    }

    /// From now on everything goes to `log`.
    pub(super) fn begin(&self, log: Log) {
        self.with(|ears| {
            let early = std::mem::take(&mut ears.early);
            ears.log.insert(log).append(&early);
        });
    }

    /// The log, with all that was said up to now.
    pub(super) fn end(&self) -> Option<Log> {
        self.catch_up();
        self.with(|ears| ears.log.take())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ears) -> T) -> T {
        act(&mut self.ears.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ears {
    fn hear(&mut self, said: &[u8]) {
        match &mut self.log {
            Some(log) => log.append(said),
            None => {
                let room = MAX_EARLY_BYTES
                    .saturating_sub(self.early.len())
                    .min(said.len());
                self.early
                    .extend_from_slice(said.get(..room).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_an_end_is_in_the_log_and_what_came_after_in_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let hearing = Arc::new(Hearing::default());
        let mut runtime = UnixStream::connect(&path).await.unwrap();
        let log = |name: &str| Log::at(folder.path().join(name), 1000);
        let talk = async {
            runtime.write_all(b"init ").await.unwrap();
            tokio::task::yield_now().await;
            while hearing.with(|ears| ears.early.is_empty()) {
                tokio::task::yield_now().await;
            }
            hearing.begin(log("first"));
            runtime.write_all(b"one").await.unwrap();
            hearing.end().unwrap();
            runtime.write_all(b"two").await.unwrap();
            hearing.catch_up();
            hearing.begin(log("second"));
            hearing.end().unwrap();
        };
        tokio::select! {
            () = talk => {}
            ended = hearing.listen(listener) => panic!("{ended:?}"),
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("first").as_str(), read("second").as_str()),
            ("init one", "two")
        );
    }
}
