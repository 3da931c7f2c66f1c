//! The guest's standard error, as wasmtime wants it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::sandbox::{Fault, capped::Log};

/// Handed out per write; more is written in several.
const PERMIT_BYTES: usize = 64 << 10;

/// The log of one attempt. All clones write to the same file.
#[derive(Clone)]
pub(super) struct Logs(Arc<Mutex<Log>>);

impl Logs {
    /// A log in `path` of at most `limit` bytes, mark included.
    pub(super) fn at(path: PathBuf, limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Log::at(path, limit))))
    }

    /// Adds why the guest failed, for whoever reads the log.
    pub(super) fn explain(&self, fault: &Fault) {
        self.lock().explain(fault);
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.lock().append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT_BYTES)
    }
}
