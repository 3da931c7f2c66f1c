//! What the mesh tells the roles.

use super::session::DownReason;
use crate::{model::Message, wire::Address};

/// Something happened. Events of one peer keep their order.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "an event is moved once, from the link to its role"
)]
pub enum Event {
    /// A message, each once while a session lives.
    Message {
        /// Who sent it, proven.
        from: Address,
        /// What it says.
        message: Message,
    },
    /// A session began.
    Up(Address),
    /// The stream of a living session broke; its traffic goes on over pubsub.
    Interrupted(Address, Interruption),
    /// A session ended, or none came to be; what was not acknowledged is void.
    Down(Address, DownReason),
}

/// How a stream broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// It was closed at its other end, or by a Kubo that knows it is over.
    Ended,
    /// Nothing came over it; it may be this node that is cut off.
    Silent,
}
