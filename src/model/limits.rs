//! What one attempt may use. Belongs to the invocation, never to a call's
//! identity, `fuel` excepted.

use serde::{Deserialize, Serialize};

/// Caps on one attempt; each is enforced by the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Wall time in milliseconds, from the start of the guest to its end.
    pub wall_ms: u64,
    /// Linear memory in bytes.
    pub memory_bytes: u64,
    /// Standard output and everything under `/out`, in bytes together.
    pub output_bytes: u64,
    /// Standard error in bytes; what exceeds it is cut, with a mark.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: 60_000,
            memory_bytes: 256 << 20,
            output_bytes: 1 << 30,
            log_bytes: 1 << 20,
        }
    }
}

impl Limits {
    /// The smaller of both in every respect: a caller can tighten a function's
    /// limits, never widen them.
    #[must_use]
    pub fn tightened_by(self, other: Self) -> Self {
        Self {
            wall_ms: self.wall_ms.min(other.wall_ms),
            memory_bytes: self.memory_bytes.min(other.memory_bytes),
            output_bytes: self.output_bytes.min(other.output_bytes),
            log_bytes: self.log_bytes.min(other.log_bytes),
        }
    }
}
