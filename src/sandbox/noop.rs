//! A sandbox that runs nothing: the floor that benchmarks subtract, and a
//! stand-in for tests of what surrounds a sandbox.
//!
//! Takes any attempt, gives empty output at once.

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{Attempt, Error, Output, Sandbox, Stdout, Usage};

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
        let output = Output {
            stdout: Stdout::Small(Bytes::new()),
            out_dir: None,
            logs: attempt.work.join("stderr"),
            exit: 0,
            usage: Usage::default(),
        };
        futures_util::future::ready(Ok(output)).boxed()
    }
}
