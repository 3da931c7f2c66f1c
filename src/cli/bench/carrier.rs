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
    /// As a node tells it.
    pub(super) fn of(text: &str) -> Option<Self> {
        let both = [Self::Pubsub, Self::Stream];
        both.into_iter().find(|carrier| carrier.as_str() == text)
    }

    /// The one that it is not.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Pubsub => Self::Stream,
            Self::Stream => Self::Pubsub,
        }
    }

    /// As the setting has it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pubsub => "pubsub",
            Self::Stream => "stream",
        }
    }
}
