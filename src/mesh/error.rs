//! What can go wrong between this sidecar and another.

use std::time::Duration;

use crate::{
    kubo,
    wire::{Address, Refusal},
};

/// A failed call of [`super::Mesh`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kubo has no connection to the peer and gets none.
    #[error("{to} cannot be reached: {reason}")]
    Unreachable {
        /// Whom.
        to: Box<Address>,
        /// The last dial's word.
        reason: String,
    },
    /// The peer is there, and nobody listens on its inbox.
    #[error("{to} is connected and runs no timerose of mesh {mesh}")]
    NoTimeRose {
        /// Whom.
        to: Box<Address>,
        /// The mesh's name.
        mesh: String,
    },
    /// The peer listens and did not answer the greeting.
    #[error("{to} did not answer within {waited:?}")]
    Timeout {
        /// Whom.
        to: Box<Address>,
        /// How long.
        waited: Duration,
    },
    /// The queue to the peer stayed full.
    #[error("messages to {to} are not taken as fast as they come")]
    Busy {
        /// Whom.
        to: Box<Address>,
    },
    /// More than a message may hold; larger things travel as CIDs.
    #[error("a message of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What fits.
        limit: usize,
    },
    /// The message has no canonical form.
    #[error("the message cannot be sent: {0}")]
    Unencodable(#[from] Refusal),
    /// As many peers as this sidecar keeps are in use.
    #[error("as many peers as can be kept are linked")]
    Crowded,
    /// The mesh was shut down.
    #[error("the mesh is shut down")]
    Closed,
    /// Kubo refused what the mesh cannot do without.
    #[error(transparent)]
    Kubo(#[from] kubo::Error),
}

impl Error {
    /// Whether the same may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. } | Self::Crowded => {
                true
            }
            Self::NoTimeRose { .. }
            | Self::TooLarge { .. }
            | Self::Unencodable(_)
            | Self::Closed => false,
            Self::Kubo(error) => error.retryable(),
        }
    }
}
