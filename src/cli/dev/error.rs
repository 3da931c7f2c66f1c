//! What can go wrong with temporary nodes.

use std::{io, path::PathBuf, time::Duration};

/// Why a temporary node, or all of them, could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// What was to run.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that ends by itself said no.
    #[error("{command} failed: {said}")]
    Command {
        /// Its name and what it was asked.
        command: String,
        /// The last line it wrote to stderr.
        said: String,
    },
    /// A process that should stay ended.
    #[error("{name} ended before it was ready; its log ends:\n{log}")]
    Ended {
        /// Which process.
        name: String,
        /// The tail of its log.
        log: String,
    },
    /// A process is alive but not ready.
    #[error("{name} was not ready within {after:?}; its log ends:\n{log}")]
    NotReady {
        /// Which process.
        name: String,
        /// How long it was waited for.
        after: Duration,
        /// The tail of its log.
        log: String,
    },
    /// A process outlived even SIGKILL.
    #[error("{name} (process {pid}) did not end")]
    Unstoppable {
        /// Which process.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// What a sidecar started is still there although the sidecar is gone.
    #[error("processes of the sidecar {pid} outlived it")]
    LeftBehind {
        /// The sidecar's process id, the number of the group.
        pid: u32,
    },
    /// A configuration that is not what Kubo writes.
    #[error("the configuration in {} cannot be edited: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// A file or folder of ours.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Kubo runs but refused.
    #[error(transparent)]
    Kubo(#[from] crate::kubo::Error),
}

impl Error {
    /// Whether the same may work when tried again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::NotReady { .. } => true,
            Self::Kubo(error) => error.retryable(),
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Start { .. } => {
                Some("Give Kubo's program with --ipfs or $IPFS_BIN; scripts/install-kubo gets one.")
            }
            Self::NotReady { .. } => Some("This machine may be too busy: try fewer --nodes."),
            _ => None,
        }
    }

    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
