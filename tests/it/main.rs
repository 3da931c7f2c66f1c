//! Fast tests: a fake Kubo over real HTTP.

#[path = "../support/mod.rs"]
mod support;

mod kubo_client;
