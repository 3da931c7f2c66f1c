//! The wall clock, for what people read: the only place that asks for it.
//!
//! Nothing is decided by it but the ends of permissions and bindings.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn unix_s() -> u64 {
    unix_ms() / 1000
}
