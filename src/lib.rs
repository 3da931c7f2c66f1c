//! TimeRose adds compute to IPFS nodes: a sidecar beside an unmodified Kubo.

pub mod compute;
pub mod kubo;
pub mod model;
pub mod task;
pub mod wire;
