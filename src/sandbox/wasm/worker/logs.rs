//! The guest's standard error, on disk at once and never over its limit.
//!
//! Takes bytes, keeps the first ones and a mark where it cut; makes no file for
//! a guest that says nothing. A full disk silences it: logs are no reason to
//! fail.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::sandbox::Fault;

/// Handed out per write; more is written in several.
const PERMIT_BYTES: usize = 64 << 10;

/// The log of one attempt. All clones write to the same file.
#[derive(Clone)]
pub(super) struct Logs(Arc<Mutex<Capped>>);

struct Capped {
    path: PathBuf,
    file: Option<File>,
    left: u64,
    mark: Option<String>,
}

impl Logs {
    /// A log in `path` of at most `limit` bytes, mark included.
    pub(super) fn at(path: PathBuf, limit: u64) -> Self {
        let mark = format!("\n[log cut at {limit} bytes]\n");
        let (left, mark) = match limit.checked_sub(mark.len() as u64) {
            Some(left) => (left, Some(mark)),
            None => (limit, None),
        };
        let capped = Capped {
            path,
            file: None,
            left,
            mark,
        };
        Self(Arc::new(Mutex::new(capped)))
    }

    /// Adds why the guest failed, for whoever reads the log.
    pub(super) fn explain(&self, fault: &Fault) {
        self.append(format!("timerose: {fault}\n").as_bytes());
    }

    fn append(&self, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(bytes);
    }
}

impl Capped {
    fn append(&mut self, bytes: &[u8]) {
        let fits = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let (kept, cut) = bytes.split_at(fits);
        self.left -= kept.len() as u64;
        let _full_disk = self.write(kept);
        if !cut.is_empty()
            && let Some(mark) = self.mark.take()
        {
            self.left = 0;
            let _full_disk = self.write(mark.as_bytes());
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path)?),
        };
        file.write_all(bytes)
    }
}

impl IsTerminal for Logs {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Logs {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Logs {
    async fn ready(&mut self) {}
}

impl OutputStream for Logs {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_over_its_limit_ends_with_the_mark_and_within_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let logs = Logs::at(file.path().to_owned(), 40);
        logs.append(&[b'x'; 100]);
        logs.append(b"more");
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(
            text.len() <= 40 && text.ends_with("\n[log cut at 40 bytes]\n"),
            "{text}"
        );
    }
}
