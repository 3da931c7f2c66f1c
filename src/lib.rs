//! TimeRose adds compute to IPFS nodes: a sidecar beside an unmodified Kubo.

pub mod task;
