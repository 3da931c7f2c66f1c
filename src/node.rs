//! The only file that wires roles: bind, join, shut down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::compute::Failure;
use crate::config::{Config, Home};
use crate::model::Class;

/// For how long a node is there.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Until it is told to end; listens on the home's socket.
    Daemon,
    /// For one command; listens on a socket of its own.
    Attached {
        /// Where.
        socket: PathBuf,
    },
}

/// A node that is up.
#[derive(Debug)]
pub struct Node {
    socket: PathBuf,
}

impl Node {
    /// Brings a node up; once this returns its API answers.
    ///
    /// # Errors
    /// When Kubo cannot be reached or something cannot be bound.
    pub async fn bind(_config: Config, _home: Home, _mode: Mode) -> Result<Self, Failure> {
        Err(Failure::new(Class::Node, "kubo_unreachable", "Kubo cannot be reached")
            .with_hint("Start it with `ipfs daemon --enable-pubsub-experiment`."))
    }

    /// Where its API listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything it listens on.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    /// Ends when the node is asked to, or when it cannot go on.
    pub async fn join(&self) {}

    /// Ends it; gives whether all of it ended within `grace`.
    pub async fn shutdown(self, _grace: Duration) -> bool {
        true
    }
}
