//! What both test binaries share.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of it"
)]

pub(crate) mod chaos;
pub(crate) mod engine;
pub(crate) mod fake_kubo;
pub(crate) mod history;
pub(crate) mod mesh;
pub(crate) mod namespaces;
pub(crate) mod runtimes;
pub(crate) mod skip;
pub(crate) mod state;

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

/// `size` bytes that look random and are always the same.
pub(crate) fn noise(size: usize) -> bytes::Bytes {
    (0..size as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
