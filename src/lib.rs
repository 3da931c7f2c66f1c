//! TimeRose adds compute to IPFS nodes: a sidecar beside an unmodified Kubo.

pub mod kubo;
pub mod mesh;
pub mod model;
pub mod sandbox;
pub mod store;
pub mod task;
pub mod wire;
