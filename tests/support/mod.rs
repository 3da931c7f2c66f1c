//! What both test binaries share.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of it"
)]

pub(crate) mod fake_kubo;
pub(crate) mod mesh;
pub(crate) mod skip;

/// Waits until `is_so`, looking often; panics naming `what` after ten seconds.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !is_so() {
        assert!(
            tokio::time::Instant::now() < patience,
            "never came true: {what}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
