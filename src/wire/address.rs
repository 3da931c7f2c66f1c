//! The address of a sidecar: a peer ID, with a key id for one that is attached
//! to another's Kubo for the length of a command.

use std::{fmt, str::FromStr};

use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};

use super::{KeyId, Refusal};

/// Where messages go: `<peer>` for a node, `<peer>/<kid>` for an attached
/// command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The Kubo peer ID.
    pub peer: PeerId,
    /// The sidecar key, of an attached command only.
    pub kid: Option<KeyId>,
}

impl Address {
    /// The address of a node.
    #[must_use]
    pub const fn node(peer: PeerId) -> Self {
        Self { peer, kid: None }
    }

    /// The address of a command that is attached to a node's Kubo.
    #[must_use]
    pub const fn attached(peer: PeerId, kid: KeyId) -> Self {
        Self {
            peer,
            kid: Some(kid),
        }
    }
}

impl From<PeerId> for Address {
    fn from(peer: PeerId) -> Self {
        Self::node(peer)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            None => write!(f, "{}", self.peer),
            Some(kid) => write!(f, "{}/{kid}", self.peer),
        }
    }
}

impl FromStr for Address {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (peer, kid) = match text.split_once('/') {
            Some((peer, kid)) => (peer, Some(kid.parse()?)),
            None => (text, None),
        };
        Ok(Self {
            peer: peer.parse().map_err(|_| Refusal::Malformed)?,
            kid,
        })
    }
}

impl TryFrom<String> for Address {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}
