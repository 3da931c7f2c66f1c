//! Settings of the mesh.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::session::Patience;

/// What carries the traffic of sessions. Greetings, adverts and probes always
/// go over pubsub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// Kubo's p2p streams where both ends have them, else pubsub.
    #[default]
    Auto,
    /// Pubsub alone.
    Pubsub,
    /// Streams alone: without one nothing is sent.
    Stream,
}

impl std::fmt::Display for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Pubsub => "pubsub",
            Self::Stream => "stream",
        })
    }
}

/// How a sidecar takes part.
#[derive(Clone, Debug)]
pub struct Config {
    /// The mesh's name; nodes of other names are not heard.
    pub mesh: String,
    /// Multiaddrs with `/p2p/…` that Kubo is to stay connected to.
    pub peers: Vec<String>,
    /// What carries the traffic of sessions.
    pub carrier: Carrier,
    /// Whether envelopes of others are passed on to those who are linked.
    pub forward: bool,
    /// For one command only: the inbox is `…/<peer>/<kid>`, nothing is offered.
    pub attached: bool,
    /// The least time between two adverts; a mesh of N nodes waits N/9 s.
    pub advert_interval: Duration,
    /// Silence, while something waits for an acknowledgement, after which a
    /// session is over. Time without a Kubo does not count.
    pub silence_timeout: Duration,
    /// How long a peer may take to answer the first greeting.
    pub greeting_timeout: Duration,
    /// How long a session without traffic is kept.
    pub idle_timeout: Duration,
    /// How long [`super::Mesh::send`] waits for room in a peer's queue.
    pub send_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mesh: "public".to_owned(),
            peers: Vec::new(),
            carrier: Carrier::Auto,
            forward: true,
            attached: false,
            advert_interval: Duration::from_secs(30),
            silence_timeout: Duration::from_secs(30),
            greeting_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(900),
            send_timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    pub(super) fn patience(&self) -> Patience {
        Patience {
            silence: self.silence_timeout,
            greeting: self.greeting_timeout,
            idle: self.idle_timeout,
        }
    }
}
