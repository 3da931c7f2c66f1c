//! What both test binaries share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub(crate) mod fake_kubo;
