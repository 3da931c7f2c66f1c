//! What can go wrong between this process and Kubo.
//!
//! Takes an HTTP status, an error body, a transport failure; gives an
//! [`Error`] that says the cause, whether trying again can help, and the cure.
//! The only file that reads Kubo's message texts.

use std::{path::PathBuf, time::Duration};

use cid::Cid;
use serde::Deserialize;

use super::Version;

/// A failed call. The text says the cause; [`Error::hint`] gives the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers at the address: refused, no socket, no api file.
    #[error("kubo does not answer at {endpoint}: {reason}")]
    Unreachable {
        /// Where Kubo was looked for.
        endpoint: String,
        /// The transport's word.
        reason: String,
    },
    /// The connection broke before an answer began.
    #[error("{command}: the connection to kubo broke: {reason}")]
    Interrupted {
        /// The RPC command.
        command: &'static str,
        /// The transport's word.
        reason: String,
    },
    /// The call's time limit passed.
    #[error("{command}: no answer within {after:?}")]
    Timeout {
        /// The RPC command.
        command: &'static str,
        /// The limit.
        after: Duration,
    },
    /// A transfer made no progress for too long.
    #[error("{command}: no progress for {after:?}")]
    Stalled {
        /// The RPC command.
        command: &'static str,
        /// How long nothing came.
        after: Duration,
    },
    /// A body ended before all of it had come.
    #[error("{command}: the body was cut after {got} bytes{}", expected.map(|n| format!(" of {n}")).unwrap_or_default())]
    Truncated {
        /// The RPC command.
        command: &'static str,
        /// Bytes received.
        got: u64,
        /// Bytes announced, if any were.
        expected: Option<u64>,
    },
    /// Kubo failed after it had begun to answer with 200.
    #[error("{command}: kubo failed in the middle of its answer: {message}")]
    Trailer {
        /// The RPC command.
        command: &'static str,
        /// Kubo's word.
        message: String,
    },
    /// A 200 without the object that is due.
    #[error("{command}: kubo answered with nothing")]
    EmptyAnswer {
        /// The RPC command.
        command: &'static str,
    },
    /// The RPC refused this caller.
    #[error("{command}: kubo refused access")]
    Forbidden {
        /// The RPC command.
        command: &'static str,
    },
    /// This Kubo has no such command.
    #[error("{command}: kubo has no such command")]
    NoCommand {
        /// The RPC command.
        command: &'static str,
    },
    /// Pubsub is switched off.
    #[error("pubsub is switched off in kubo")]
    PubsubDisabled,
    /// Streams between nodes are switched off.
    #[error("p2p streams are switched off in kubo")]
    StreamsDisabled,
    /// Kubo's own validator dropped the message: an older sequence number than
    /// one it has seen from this peer. Publish again, with the same id inside.
    #[error("kubo dropped the published message: validation ignored")]
    ValidationIgnored,
    /// More bytes than Kubo or the mesh carries.
    #[error("{what}: {size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size, or the first size seen to be over the limit.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// One line of a stream is longer than any honest one.
    #[error("{command}: a line of the stream is longer than {limit} bytes")]
    FrameTooLong {
        /// The RPC command.
        command: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes are not those that the CID names.
    #[error("the bytes of {cid} hash to something else")]
    HashMismatch {
        /// The CID asked for.
        cid: Cid,
    },
    /// This build cannot check the CID's hash function.
    #[error("{cid} uses the hash function 0x{code:x}, only sha2-256 and identity are supported")]
    UnsupportedHash {
        /// The CID asked for.
        cid: Cid,
        /// Its multihash code.
        code: u64,
    },
    /// An offline call met a block that this Kubo does not hold.
    #[error("{command}: not held by this node: {message}")]
    NotLocal {
        /// The RPC command.
        command: &'static str,
        /// Kubo's word, which names the block.
        message: String,
    },
    /// An imported root could not be pinned.
    #[error("kubo could not pin {cid}: {message}")]
    PinFailed {
        /// The root.
        cid: Cid,
        /// Kubo's word.
        message: String,
    },
    /// The command failed in some other way.
    #[error("{command}: {message}")]
    Rpc {
        /// The RPC command.
        command: &'static str,
        /// Kubo's word.
        message: String,
        /// Kubo's error code: 0 normal, 1 client, 2 implementation, 3 rate
        /// limited, 4 forbidden; or the HTTP status where it gave none.
        code: u16,
    },
    /// The answer is not what this version of the RPC gives.
    #[error("{command}: kubo's answer is not understood: {reason}")]
    BadAnswer {
        /// The RPC command.
        command: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of the API cannot be used.
    #[error("`{text}` is no usable address of kubo's API: {reason}")]
    BadEndpoint {
        /// The address as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The secret is not in the form of `API.Authorizations`.
    #[error("the API secret must look like `bearer:TOKEN` or `basic:USER:PASSWORD`")]
    BadAuth,
    /// Not a duration in Go's form.
    #[error("`{text}` is no duration; write `{form}`")]
    BadDuration {
        /// The text as given.
        text: String,
        /// The right form.
        form: String,
    },
    /// This Kubo is older than [`Version::FLOOR`].
    #[error("kubo {found} is older than {}", Version::FLOOR)]
    OldKubo {
        /// The version that answered.
        found: Version,
    },
    /// A signature does not belong to the peer and the data.
    #[error("the signature is not by {peer}")]
    BadSignature {
        /// The peer ID named as signer.
        peer: String,
    },
    /// The peer ID does not hold an Ed25519 key, so nothing can be verified
    /// offline.
    #[error("{peer} is no Ed25519 peer ID")]
    UnsupportedKey {
        /// The peer ID.
        peer: String,
    },
    /// A local file could not be read for `add`.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same call can succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Interrupted { .. }
                | Self::Timeout { .. }
                | Self::Stalled { .. }
                | Self::Truncated { .. }
                | Self::Trailer { .. }
                | Self::EmptyAnswer { .. }
                | Self::ValidationIgnored
                | Self::Rpc { code: 3, .. }
        )
    }

    /// What to do about it, where this module knows.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } => {
                "start Kubo with `ipfs daemon`, or say where it listens with --api"
            }
            Self::PubsubDisabled => {
                "run `ipfs config --json Pubsub.Enabled true`, then restart `ipfs daemon`"
            }
            Self::StreamsDisabled => {
                "run `ipfs config --json Experimental.Libp2pStreamMounting true`, then restart `ipfs daemon`"
            }
            Self::Forbidden { .. } => {
                "give the secret of Kubo's API.Authorizations with --api-auth, and list the command in its AllowedPaths"
            }
            Self::NoCommand { .. } => "install Kubo 0.43.0 or newer with `scripts/install-kubo`",
            Self::OldKubo { .. } => {
                "install a newer one with `scripts/install-kubo`, or accept it with `timerose daemon --allow-old-kubo`"
            }
            Self::BadEndpoint { .. } => {
                "write /ip4/127.0.0.1/tcp/5001, /unix/path/to/socket or http://host:port"
            }
            Self::BadAuth => "copy the AuthSecret of an entry of API.Authorizations",
            Self::BadDuration { .. } => "units are ns, us, ms, s, m, h",
            Self::UnsupportedKey { .. } => {
                "give the Kubo node an Ed25519 identity, the default of `ipfs init`"
            }
            Self::ValidationIgnored => {
                "let one program at a time publish through this Kubo, and check its clock"
            }
            _ => return None,
        })
    }

    /// The variant for a non-200 answer.
    pub(super) fn from_status(command: &'static str, status: u16, body: &[u8]) -> Self {
        match status {
            403 => Self::Forbidden { command },
            404 => Self::NoCommand { command },
            _ => Failure::parse(body).map_or_else(
                || {
                    let text = String::from_utf8_lossy(body).trim().to_owned();
                    Self::from_message(command, status, text)
                },
                |failure| failure.into_error(command),
            ),
        }
    }

    /// The variant for a message of Kubo's, wherever in an answer it stood.
    fn from_message(command: &'static str, code: u16, message: String) -> Self {
        let says = |text: &str| message.contains(text);
        if says("validation ignored") {
            Self::ValidationIgnored
        } else if says("experimental pubsub feature not enabled") {
            Self::PubsubDisabled
        } else if says("libp2p stream mounting not enabled") {
            Self::StreamsDisabled
        } else if says("ipld: could not find") || says("block was not found locally") {
            Self::NotLocal { command, message }
        } else {
            Self::Rpc {
                command,
                message,
                code,
            }
        }
    }

    /// The variant for the trailer of a body.
    pub(super) fn from_trailer(command: &'static str, message: String) -> Self {
        match Self::from_message(command, 0, message) {
            Self::Rpc {
                command, message, ..
            } => Self::Trailer { command, message },
            other => other,
        }
    }

    /// [`Error::Timeout`] if Kubo itself gave up because of `timeout=`.
    pub(super) fn or_timeout(self, command: &'static str, after: Duration) -> Self {
        let over = matches!(&self, Self::Rpc { message, .. } | Self::Trailer { message, .. }
            if message.contains("context deadline exceeded"));
        if over {
            Self::Timeout { command, after }
        } else {
            self
        }
    }

    /// Whether Kubo says that nothing is pinned there.
    pub(super) fn is_not_pinned(&self) -> bool {
        matches!(self, Self::Rpc { message, .. }
            if message.contains("is not pinned") || message.contains("not pinned or pinned"))
    }
}

/// `{"Message","Code","Type":"error"}`, as a whole body or as an item of a
/// stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failure {
    message: String,
    #[serde(default)]
    code: u16,
    r#type: String,
}

impl Failure {
    /// Reads `line` if it is a failure.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(line)
            .ok()
            .filter(|failure| failure.r#type == "error")
    }

    pub(super) fn into_error(self, command: &'static str) -> Error {
        Error::from_message(command, self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> Error {
        let body = format!(r#"{{"Message":"{message}","Code":0,"Type":"error"}}"#);
        Error::from_status("x", 500, body.as_bytes())
    }

    #[test]
    fn kubos_messages_become_types() {
        assert!(matches!(
            error("validation ignored"),
            Error::ValidationIgnored
        ));
        assert!(matches!(
            error("block was not found locally (offline): ipld: could not find bafy"),
            Error::NotLocal { .. }
        ));
        assert!(matches!(
            error("experimental pubsub feature not enabled, run daemon with …"),
            Error::PubsubDisabled
        ));
        assert!(matches!(error("anything else"), Error::Rpc { code: 0, .. }));
        assert!(matches!(
            Error::from_status("x", 403, b""),
            Error::Forbidden { .. }
        ));
        assert!(matches!(
            Error::from_status("x", 404, b""),
            Error::NoCommand { .. }
        ));
    }

    #[test]
    fn a_disabled_pubsub_names_its_cure() {
        assert!(
            Error::PubsubDisabled
                .hint()
                .unwrap()
                .contains("Pubsub.Enabled true")
        );
        assert!(!Error::PubsubDisabled.retryable());
    }

    #[test]
    fn a_body_without_json_is_still_told() {
        let error = Error::from_status("cat", 400, b"argument \"ipfs-path\" is required\n");
        assert_eq!(error.to_string(), "cat: argument \"ipfs-path\" is required");
    }
}
