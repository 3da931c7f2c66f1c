//! Fast tests: a fake Kubo over real HTTP.

#[path = "../support/mod.rs"]
mod support;

mod kubo_client;
mod mesh_messages;
mod mesh_node;
mod mesh_restarts;
mod mesh_search;
mod sandbox_faults;
mod sandbox_floods;
mod sandbox_process;
mod sandbox_room;
mod sandbox_runs;
mod tidy;
