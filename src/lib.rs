//! TimeRose adds compute to IPFS nodes: a sidecar beside an unmodified Kubo.

pub mod api;
pub mod cli;
pub mod compute;
pub mod config;
pub mod kubo;
pub mod mesh;
pub mod model;
pub mod node;
pub mod sandbox;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod wire;
