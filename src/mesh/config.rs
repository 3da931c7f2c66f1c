//! Settings of the mesh.

use std::time::Duration;

use super::session::Patience;

/// How a sidecar takes part.
#[derive(Clone, Debug)]
pub struct Config {
    /// The mesh's name; nodes of other names are not heard.
    pub mesh: String,
    /// Multiaddrs with `/p2p/…` that Kubo is to stay connected to.
    pub peers: Vec<String>,
    /// For one command only: the inbox is `…/<peer>/<kid>`, nothing is offered.
    pub attached: bool,
    /// The least time between two adverts; a mesh of N nodes waits N/10 s.
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
