//! Why bytes were not believed. Every reason is a counter's label.

/// The one reason for which a value was refused. Never worth a retry with the
/// same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// Larger than its cap.
    #[error("larger than the cap of its kind")]
    Oversized,
    /// Not the wanted shape: damaged, too deep, too many parts, unknown fields.
    #[error("not of the wanted shape")]
    Malformed,
    /// The right value in other bytes than the canonical ones.
    #[error("not in its canonical form")]
    NonCanonical,
    /// A version this program does not speak.
    #[error("of an unknown version")]
    Version,
    /// Another mesh.
    #[error("from another mesh")]
    Net,
    /// Somebody else's mail.
    #[error("addressed to somebody else")]
    Audience,
    /// The signature does not match.
    #[error("the signature does not match")]
    Signature,
    /// The binding does not stand: node key, times, or another signer than stated.
    #[error("the binding of key and node does not hold")]
    Binding,
    /// Too old, too far ahead, or valid for too long.
    #[error("outside its time")]
    Expired,
    /// Of no living session.
    #[error("of no living session")]
    Session,
    /// Seen before.
    #[error("seen before")]
    Replay,
    /// The bytes are not those that the CID names.
    #[error("the bytes do not match their CID")]
    Hash,
    /// More than the sender's share.
    #[error("more than the sender's share")]
    Rate,
    /// The seal cannot be opened, or nothing can be sealed for that key.
    #[error("sealed in a way that nothing here opens")]
    Unsealable,
    /// A value that has no canonical form, such as a float that is no number.
    #[error("has no canonical form")]
    Unencodable,
}

impl Refusal {
    /// Every reason, for tables of counters.
    pub const ALL: [Self; 15] = [
        Self::Oversized,
        Self::Malformed,
        Self::NonCanonical,
        Self::Version,
        Self::Net,
        Self::Audience,
        Self::Signature,
        Self::Binding,
        Self::Expired,
        Self::Session,
        Self::Replay,
        Self::Hash,
        Self::Rate,
        Self::Unsealable,
        Self::Unencodable,
    ];

    /// The label in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Malformed => "malformed",
            Self::NonCanonical => "non_canonical",
            Self::Version => "version",
            Self::Net => "net",
            Self::Audience => "audience",
            Self::Signature => "signature",
            Self::Binding => "binding",
            Self::Expired => "expired",
            Self::Session => "session",
            Self::Replay => "replay",
            Self::Hash => "hash",
            Self::Rate => "rate",
            Self::Unsealable => "unsealable",
            Self::Unencodable => "unencodable",
        }
    }

    /// Whether the same bytes may be believed later: never.
    #[must_use]
    pub const fn retryable(self) -> bool {
        false
    }
}
