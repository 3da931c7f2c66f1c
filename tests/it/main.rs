//! Fast tests: a fake Kubo over real HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

#[path = "../support/mod.rs"]
mod support;

mod api_fake;
mod api_paths;
mod cli_commands;
mod cli_errors;
mod cli_help;
mod cli_machine;
mod cli_run;
mod kubo_client;
mod kubo_content;
mod kubo_directory;
mod kubo_pubsub;
mod kubo_routing;
mod kubo_watch;
mod mesh_messages;
mod mesh_node;
mod mesh_restarts;
mod mesh_search;
mod sandbox_faults;
mod sandbox_floods;
mod sandbox_process;
mod sandbox_room;
mod sandbox_runs;
mod sandbox_wordcount;
mod tidy;
