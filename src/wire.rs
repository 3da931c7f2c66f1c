//! What crosses the mesh: canonical, bounded bytes, signed or sealed.
//!
//! Takes bytes that strangers wrote and gives typed values that were checked
//! first, or the [`Refusal`] that says what was wrong; and the way back. Pure:
//! no I/O, no clock (the time is an argument), nothing remembered between two
//! values, so replay is the session's business. [`seal`] has all secrets of
//! the traffic between two sidecars, [`private`] those of content, [`key`] all
//! signatures.

pub mod address;
pub mod binding;
pub mod block;
pub mod body;
pub mod car;
pub mod dagcbor;
pub mod dagjson;
pub mod envelope;
pub mod fan;
pub mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod key;
pub mod oci;
pub mod private;
pub mod receipt;
mod refusal;
pub mod seal;
#[cfg(test)]
pub(crate) mod testing;
pub mod topics;
pub mod unixfs;

pub use address::Address;
pub use block::{cid_of, verify_block};
pub use key::KeyId;
pub use refusal::Refusal;

/// Bytes in hexadecimal, small letters.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    multibase::Base::Base16Lower.encode(bytes)
}

/// Bytes of an envelope or a signed object beyond which nothing is parsed.
pub const MAX_BYTES: usize = 256 << 10;
/// Seconds by which the clocks of two nodes may differ where a wall clock counts.
pub const SKEW_S: u64 = 3_600;
