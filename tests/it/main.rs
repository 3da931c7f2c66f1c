//! Fast tests: a fake Kubo over real HTTP.
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

mod api_fake;
mod api_paths;
mod chaos;
mod cli_commands;
mod cli_errors;
mod cli_help;
mod cli_machine;
mod cli_run;
mod docker_limits;
mod docker_room;
mod docker_runs;
mod history;
mod kubo_client;
mod kubo_content;
mod kubo_directory;
mod kubo_pubsub;
mod kubo_routing;
mod kubo_watch;
mod lambda_room;
mod lambda_runs;
mod mesh_identity;
mod mesh_messages;
mod mesh_node;
mod mesh_replay;
mod mesh_restarts;
mod mesh_search;
mod node_crash;
mod node_disk;
mod node_durable;
mod node_errors;
mod node_follow;
mod node_refused;
mod node_search;
mod node_whole;
mod sandbox_component;
mod sandbox_escape;
mod sandbox_fan;
mod sandbox_faults;
mod sandbox_floods;
mod sandbox_process;
mod sandbox_room;
mod sandbox_runs;
mod sandbox_wordcount;
mod scripts_install_kubo;
mod scripts_kubo_config;
mod scripts_steps;
mod tidy;
