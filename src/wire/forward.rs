//! What a session says so that others' envelopes pass: FORWARD.
//!
//! Travels where messages travel, and is for the mesh alone: no role ever sees
//! it. The envelope inside is opaque to whoever passes it on.

use serde::{Deserialize, Serialize};

use super::{Address, MAX_BYTES};

/// Bytes of an envelope that is forwarded, so that the envelope around it stays
/// within its own cap.
pub const MAX_FORWARDED_BYTES: usize = MAX_BYTES - (16 << 10);

/// One step of a forwarded envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Forwarding {
    /// To a relay: pass this on.
    Forward {
        /// To whom.
        to: Address,
        /// A whole envelope.
        #[serde(with = "serde_bytes")]
        envelope: Vec<u8>,
    },
    /// From a relay: somebody had this passed on. Who, only the envelope proves.
    Forwarded {
        /// As it came.
        #[serde(with = "serde_bytes")]
        envelope: Vec<u8>,
    },
    /// From a relay: it was not passed on.
    NotForwarded {
        /// To whom it should have gone.
        to: Address,
        /// Why not.
        reason: NotForwarded,
    },
}

/// Why a relay does not pass an envelope on. Every reason is a counter's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotForwarded {
    /// The relay's operator turned it off.
    Off,
    /// The relay has no direct link with the receiver.
    Unlinked,
    /// More than the sender's share.
    Rate,
    /// Larger than what is forwarded.
    Size,
    /// Too much waits for the receiver already.
    Full,
}

impl NotForwarded {
    /// The label in counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Unlinked => "unlinked",
            Self::Rate => "rate",
            Self::Size => "size",
            Self::Full => "full",
        }
    }

    /// In words, of a relay.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Off => "forwards nothing (mesh.forward is off there)",
            Self::Unlinked => "has no direct link with it either",
            Self::Rate => "forwards no more of this node's for now",
            Self::Size => "does not forward what is so large",
            Self::Full => "has too much waiting for it already",
        }
    }
}
