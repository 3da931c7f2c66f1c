//! Tests on real Kubo daemons.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::type_complexity,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test says what is wrong by failing, and starts what it needs itself"
)]

#[path = "../support/mod.rs"]
mod support;

mod batch;
mod bench;
mod calls;
mod chaos;
mod containers;
mod durable;
mod fan;
mod faults;
mod follow;
mod harness;
mod hostile;
mod kubo_config;
mod kubo_contract;
mod lambda;
mod lambda_speed;
mod load;
mod network;
mod network_chain;
mod network_loss;
mod overload;
mod placement;
mod private;
mod process;
mod process_disk;
mod recovery;
mod replay;
mod streams;
mod templates;
mod torture;
