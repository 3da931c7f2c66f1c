//! Tests that cannot run here: said loudly, counted as skipped.
//!
//! Takes a reason, notes it with the test's name in the file named by
//! `TIMEROSE_SKIPPED`, which `scripts/test` reads. Never skips by itself: the
//! test returns.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

/// Notes that the running test proves nothing here. Call it at most once in a
/// test, then return.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    eprint!("SKIPPED {line}");
    if let Some(path) = std::env::var_os("TIMEROSE_SKIPPED") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Kubo's program: `$IPFS_BIN`, or `ipfs` on PATH.
pub(crate) fn ipfs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("IPFS_BIN") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("ipfs"))
        .find(|ipfs| ipfs.is_file())
}

/// The same, or a note that there is none.
pub(crate) fn ipfs_or_skip() -> Option<PathBuf> {
    let found = ipfs();
    if found.is_none() {
        skip("there is no ipfs in $IPFS_BIN or on PATH");
    }
    found
}
