//! TimeRose adds compute to IPFS nodes: a sidecar beside an unmodified Kubo.

pub mod compute;
pub mod model;
pub mod sandbox;
pub mod task;
