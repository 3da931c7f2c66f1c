//! Tests on real Kubo daemons.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::type_complexity,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test says what is wrong by failing, and starts what it needs itself"
)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod calls;
mod chaos;
mod durable;
mod faults;
mod harness;
mod kubo_config;
mod kubo_contract;
mod load;
mod placement;
mod streams;
mod torture;
