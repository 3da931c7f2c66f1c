//! Who this Kubo is and how it fares.
//!
//! Gives peer ID, version, configuration and health. Never trusts a version
//! under the floor unless told to.

use libp2p_identity::PeerId;
use serde::Deserialize;
use tracing::warn;

use super::{Client, Error, Version, command, rpc::Request};

/// Kubo's word about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeId {
    /// The peer ID.
    pub peer: PeerId,
    /// Its swarm multiaddrs, each ending in `/p2p/<peer>`.
    pub addresses: Vec<String>,
    /// `kubo/0.43.0`.
    pub agent: String,
}

/// The repository's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RepoStat {
    /// Bytes used.
    #[serde(rename = "RepoSize")]
    pub size_bytes: u64,
    /// Bytes allowed.
    #[serde(rename = "StorageMax")]
    pub max_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IdAnswer {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    addresses: Option<Vec<String>>,
    #[serde(default)]
    agent_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    version: String,
}

impl Client {
    /// The node's peer ID, addresses and agent.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn id(&self) -> Result<NodeId, Error> {
        let answer: IdAnswer = self.json(Request::new(&command::ID)).await?;
        Ok(NodeId {
            peer: parse_peer(command::ID.path, &answer.id)?,
            addresses: answer.addresses.unwrap_or_default(),
            agent: answer.agent_version,
        })
    }

    /// The daemon's version.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn version(&self) -> Result<Version, Error> {
        let answer: VersionAnswer = self.json(Request::new(&command::VERSION)).await?;
        let bad = |reason| Error::BadAnswer {
            command: command::VERSION.path,
            reason,
        };
        answer.version.parse().map_err(bad)
    }

    /// Refuses a Kubo under [`Version::FLOOR`]; with `allow_old` it only warns.
    ///
    /// # Errors
    /// [`Error::OldKubo`], or why the version could not be learnt.
    pub async fn require_floor(&self, allow_old: bool) -> Result<Version, Error> {
        let found = self.version().await?;
        if found >= Version::FLOOR {
            return Ok(found);
        }
        if !allow_old {
            return Err(Error::OldKubo { found });
        }
        warn!(kubo.version = %found, kubo.floor = %Version::FLOOR,
            "Kubo is older than the oldest safe version");
        Ok(found)
    }

    /// The configuration; secrets are hidden by Kubo.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn config_show(&self) -> Result<serde_json::Value, Error> {
        self.json(Request::new(&command::CONFIG_SHOW)).await
    }

    /// The repository's size, without counting its blocks.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn repo_stat(&self) -> Result<RepoStat, Error> {
        self.json(Request::new(&command::REPO_STAT).flag("size-only", true))
            .await
    }

    /// Whether Kubo calls itself healthy: it has its block store and can read
    /// from it.
    ///
    /// # Errors
    /// Kubo's reason if it is not, or why it could not be asked.
    pub async fn healthy(&self) -> Result<(), Error> {
        let _ok: serde_json::Value = self.json(Request::new(&command::HEALTHY)).await?;
        Ok(())
    }
}

pub(super) fn parse_peer(command: &'static str, text: &str) -> Result<PeerId, Error> {
    text.parse().map_err(|_| Error::BadAnswer {
        command,
        reason: format!("`{text}` is no peer ID"),
    })
}
