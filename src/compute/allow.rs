//! Who may run code on this node.
//!
//! Takes rules and the time, gives yes or a reason with the line that the
//! node's operator would type. Pure; kept and changed by the store.

use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};

/// Whom a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// Everyone.
    Any,
    /// One node.
    Peer(PeerId),
}

/// The text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a peer ID nor `any`")]
pub struct ParseWhoError(String);

impl std::str::FromStr for Who {
    type Err = ParseWhoError;

    fn from_str(text: &str) -> Result<Self, ParseWhoError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        text.parse()
            .map(Self::Peer)
            .map_err(|_| ParseWhoError(text.to_owned()))
    }
}

impl TryFrom<String> for Who {
    type Error = ParseWhoError;

    fn try_from(text: String) -> Result<Self, ParseWhoError> {
        text.parse()
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Peer(peer) => peer.fmt(f),
        }
    }
}

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whom it lets in.
    pub who: Who,
    /// Unix seconds at which it ends; never, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Rule {
    /// Whether it holds at `now` (Unix seconds).
    #[must_use]
    pub fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// All permissions of a node; its own peer is always permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    own: PeerId,
    rules: Vec<Rule>,
}

impl Allow {
    /// Rules beside the node's own peer.
    #[must_use]
    pub const fn new(own: PeerId, rules: Vec<Rule>) -> Self {
        Self { own, rules }
    }

    /// Whether anybody else may run code here: only then is it worth
    /// advertising.
    #[must_use]
    pub fn is_open(&self, now: u64) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.holds(now) && rule.who != Who::Peer(self.own))
    }

    /// Whether `peer` may run code here.
    ///
    /// # Errors
    /// The reason, ending in the line to send to this node's operator.
    pub fn check(&self, peer: &PeerId, now: u64) -> Result<(), String> {
        let is_let_in = |rule: &Rule| {
            rule.holds(now) && matches!(rule.who, Who::Any)
                || rule.holds(now) && rule.who == Who::Peer(*peer)
        };
        if *peer == self.own || self.rules.iter().any(is_let_in) {
            return Ok(());
        }
        Err(format!(
            "may not run code there; its operator can type: timerose allow add {peer}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> PeerId {
        PeerId::random()
    }

    #[test]
    fn by_default_only_the_node_itself_runs_code() {
        let own = peer();
        let allow = Allow::new(own, Vec::new());
        assert!(allow.check(&own, 0).is_ok());
        assert!(!allow.is_open(0));
        let stranger = peer();
        let why = allow.check(&stranger, 0).unwrap_err();
        assert!(why.ends_with(&format!("timerose allow add {stranger}")));
    }

    #[test]
    fn a_rule_ends_when_it_says() {
        let friend = peer();
        let allow = Allow::new(
            peer(),
            vec![Rule {
                who: Who::Peer(friend),
                until: Some(100),
            }],
        );
        assert!(allow.check(&friend, 99).is_ok());
        assert!(allow.check(&friend, 100).is_err());
        assert!(!allow.is_open(100));
    }
}
