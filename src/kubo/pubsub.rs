//! Kubo's pubsub, as it is: best effort.
//!
//! Takes topics and payloads, gives subscriptions. A published message may be
//! lost although Kubo said 200; whoever needs more acknowledges and resends.
//! Publish one at a time per Kubo: concurrent publishes drop each other.

#[cfg(any(test, fuzzing))]
pub mod fuzz;

use bytes::Bytes;
use libp2p_identity::PeerId;
use multibase::Base;
use serde::Deserialize;

use super::{
    Client, Error, command, ndjson::Lines, node::parse_peer, rpc::Request, upload::Upload,
};

/// Largest payload, in bytes. Kubo drops what is over 1 MiB with signature and
/// topic, and answers 200; this leaves room and keeps the mesh quick.
pub const PUBLISH_LIMIT: usize = 256 << 10;

/// Longest line of a subscription: a message of 1 MiB in base64 and its frame.
const MESSAGE_LIMIT: usize = 2 << 20;

/// A message as the own Kubo verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The peer whose Kubo published it.
    pub from: PeerId,
    /// The payload.
    pub data: Bytes,
    /// The publishing Kubo's sequence number, eight bytes.
    pub seqno: Bytes,
    /// The topics it came on.
    pub topics: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct WireMessage {
    from: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    seqno: String,
    #[serde(rename = "topicIDs", default)]
    topics: Vec<String>,
}

#[derive(Deserialize)]
struct Strings {
    #[serde(rename = "Strings", default)]
    strings: Option<Vec<String>>,
}

impl Client {
    /// Publishes `payload`. Success means that Kubo took it, no more.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`PUBLISH_LIMIT`], before anything is sent;
    /// [`Error::ValidationIgnored`] if Kubo dropped it itself; else any of
    /// [`Error`].
    pub async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Error> {
        if payload.len() > PUBLISH_LIMIT {
            let (size, limit) = (payload.len() as u64, PUBLISH_LIMIT as u64);
            return Err(Error::TooLarge {
                what: command::PUB.path,
                size,
                limit,
            });
        }
        let topic = to_multibase(topic.as_bytes());
        self.finish(
            Request::new(&command::PUB)
                .arg(topic)
                .upload(Upload::bytes(&payload)),
        )
        .await
    }

    /// Subscribes; what is published after this returned can be received.
    /// Dropping the subscription closes its stream at once.
    ///
    /// # Errors
    /// [`Error::PubsubDisabled`], else any of [`Error`].
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription, Error> {
        let request = Request::new(&command::SUB)
            .arg(to_multibase(topic.as_bytes()))
            .endless();
        Ok(Subscription {
            lines: self.lines(request, MESSAGE_LIMIT).await?,
        })
    }

    /// The connected peers that subscribe to `topic`.
    ///
    /// # Errors
    /// [`Error::PubsubDisabled`], else any of [`Error`].
    pub async fn topic_peers(&self, topic: &str) -> Result<Vec<PeerId>, Error> {
        let request = Request::new(&command::TOPIC_PEERS).arg(to_multibase(topic.as_bytes()));
        let answer: Strings = self.json(request).await?;
        let peers = answer.strings.unwrap_or_default();
        peers
            .iter()
            .map(|text| parse_peer(command::TOPIC_PEERS.path, text))
            .collect()
    }

    /// The topics that this Kubo subscribes to.
    ///
    /// # Errors
    /// [`Error::PubsubDisabled`], else any of [`Error`].
    pub async fn topics(&self) -> Result<Vec<String>, Error> {
        let answer: Strings = self.json(Request::new(&command::TOPICS)).await?;
        let topics = answer.strings.unwrap_or_default();
        topics
            .iter()
            .map(|text| topic_from(command::TOPICS.path, text))
            .collect()
    }
}

/// A running subscription. Read it eagerly: Kubo holds 32 messages and then
/// drops.
#[derive(Debug)]
pub struct Subscription {
    lines: Lines<WireMessage>,
}

impl Subscription {
    /// The next message; nothing once Kubo ended the stream. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the stream broke, [`Error::FrameTooLong`] for a
    /// line that no honest Kubo sends. Subscribe again after either.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        self.lines.next().await?.map(decode).transpose()
    }
}

fn decode(wire: WireMessage) -> Result<Message, Error> {
    let command = command::SUB.path;
    Ok(Message {
        from: parse_peer(command, &wire.from)?,
        data: from_multibase(command, &wire.data)?.into(),
        seqno: from_multibase(command, &wire.seqno)?.into(),
        topics: wire
            .topics
            .iter()
            .map(|text| topic_from(command, text))
            .collect::<Result<_, _>>()?,
    })
}

fn topic_from(command: &'static str, text: &str) -> Result<String, Error> {
    let bytes = from_multibase(command, text)?;
    String::from_utf8(bytes).map_err(|_| Error::BadAnswer {
        command,
        reason: format!("`{text}` is no text"),
    })
}

/// Multibase base64url (`u…`), the only form that pubsub takes.
#[must_use]
pub fn to_multibase(bytes: &[u8]) -> String {
    multibase::encode(Base::Base64Url, bytes)
}

/// Reads any multibase text of an answer of `command`.
///
/// # Errors
/// [`Error::BadAnswer`] if it is none.
pub fn from_multibase(command: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let bad = |error| Error::BadAnswer {
        command,
        reason: format!("`{text}` is no multibase: {error}"),
    };
    multibase::decode(text).map(|(_, bytes)| bytes).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_travel_as_base64url() {
        assert_eq!(to_multibase(b"tt"), "udHQ");
        assert_eq!(from_multibase("x", "udHQ").unwrap(), b"tt");
        assert!(from_multibase("x", "!").is_err());
    }
}
