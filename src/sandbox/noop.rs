//! A sandbox that runs nothing: the floor that benchmarks subtract, and a
//! stand-in for tests of what surrounds a sandbox.
//!
//! Takes any attempt, gives empty output at once.

use std::path::Path;

use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{Attempt, Error, Output, Sandbox, Usage};

/// Runs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

impl Sandbox for Noop {
    fn runtime(&self) -> &'static str {
        "noop"
    }

    fn run(
        &self,
        attempt: Attempt,
        _cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Output, Error>> {
        async move { Ok(nothing(&attempt.work).await?) }.boxed()
    }
}

async fn nothing(work: &Path) -> std::io::Result<Output> {
    let (stdout, logs) = (work.join("stdout"), work.join("stderr"));
    tokio::fs::write(&stdout, b"").await?;
    tokio::fs::write(&logs, b"").await?;
    Ok(Output {
        stdout,
        out_dir: None,
        logs,
        exit: 0,
        usage: Usage::default(),
    })
}
