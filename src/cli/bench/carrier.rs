//! The two ways that messages of the mesh travel. Plain values.

/// What carries the messages between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Kubo's pubsub.
    Pubsub,
    /// A p2p stream of Kubo.
    Stream,
}

impl Carrier {
    /// As the setting has it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pubsub => "pubsub",
            Self::Stream => "stream",
        }
    }
}
