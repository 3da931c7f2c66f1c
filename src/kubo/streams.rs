//! Kubo's p2p streams: a libp2p stream between two local sockets.
//!
//! Takes a protocol name and loopback addresses, sets up and closes listeners
//! and forwards. Carries no byte itself: whoever wants a stream connects to the
//! forward. Anyone who can dial this node reaches a listener, and any local
//! process a forward, so both ends prove who they are inside the stream.

use std::net::SocketAddr;

use libp2p_identity::PeerId;
use serde::Deserialize;

use super::{Client, Error, command, rpc::Request};

/// A forward: connecting to `local` opens a stream to `peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where Kubo listens on this machine.
    pub local: SocketAddr,
    /// To whom.
    pub peer: PeerId,
}

#[derive(Deserialize)]
struct Listeners {
    #[serde(rename = "Listeners", default)]
    listeners: Option<Vec<Listener>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listener {
    protocol: String,
    listen_address: String,
    target_address: String,
}

impl Client {
    /// Whether this Kubo mounts streams at all.
    ///
    /// # Errors
    /// Any of [`Error`] but [`Error::StreamsDisabled`].
    pub async fn has_streams(&self) -> Result<bool, Error> {
        match self.listeners().await {
            Ok(_) => Ok(true),
            Err(Error::StreamsDisabled | Error::Forbidden { .. } | Error::NoCommand { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Has streams of `protocol` (`/x/…`) from any peer end at `target`; what
    /// was listened to under that name before is closed first.
    ///
    /// # Errors
    /// [`Error::StreamsDisabled`], else any of [`Error`].
    pub async fn stream_listen(&self, protocol: &str, target: SocketAddr) -> Result<(), Error> {
        self.close_listener(protocol).await?;
        let request = Request::new(&command::STREAM_LISTEN);
        self.finish(request.arg(protocol).arg(multiaddr(target)))
            .await
    }

    /// Opens a forward to `peer`; gives where to connect to. One that is there
    /// already is used again.
    ///
    /// # Errors
    /// [`Error::StreamsDisabled`], else any of [`Error`].
    pub async fn stream_forward(&self, protocol: &str, peer: &PeerId) -> Result<Forward, Error> {
        if let Some(known) = self.forward(protocol, peer).await? {
            return Ok(known);
        }
        let request = Request::new(&command::STREAM_FORWARD)
            .arg(protocol)
            .arg("/ip4/127.0.0.1/tcp/0")
            .arg(target(peer));
        self.finish(request).await?;
        let made = self.forward(protocol, peer).await?;
        made.ok_or(Error::EmptyAnswer {
            command: command::STREAM_FORWARD.path,
        })
    }

    /// Closes the listener of `protocol`; nothing where there is none.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn close_listener(&self, protocol: &str) -> Result<(), Error> {
        let listeners = self.listeners().await?;
        let listened = listeners
            .into_iter()
            .find(|one| one.protocol == protocol && !is_forward(one));
        let Some(listened) = listened else {
            return Ok(());
        };
        let request = Request::new(&command::STREAM_CLOSE)
            .flag("protocol", protocol)
            .flag("target-address", listened.target_address);
        self.json(request).await.map(|_closed: u64| ())
    }

    /// Closes the forward to `peer`; nothing where there is none.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn close_forward(&self, protocol: &str, peer: &PeerId) -> Result<(), Error> {
        let request = Request::new(&command::STREAM_CLOSE)
            .flag("protocol", protocol)
            .flag("target-address", target(peer));
        self.json(request).await.map(|_closed: u64| ())
    }

    async fn forward(&self, protocol: &str, peer: &PeerId) -> Result<Option<Forward>, Error> {
        let (listeners, wanted) = (self.listeners().await?, target(peer));
        let found = listeners
            .iter()
            .find(|one| one.protocol == protocol && one.target_address == wanted);
        let local = found.and_then(|one| socket(&one.listen_address));
        Ok(local.map(|local| Forward { local, peer: *peer }))
    }

    async fn listeners(&self) -> Result<Vec<Listener>, Error> {
        let answer: Listeners = self.json(Request::new(&command::STREAM_LISTENERS)).await?;
        Ok(answer.listeners.unwrap_or_default())
    }
}

fn target(peer: &PeerId) -> String {
    format!("/p2p/{peer}")
}

/// A forward leads to a peer, a listener to a local address.
fn is_forward(listener: &Listener) -> bool {
    listener.target_address.starts_with("/p2p/")
}

fn multiaddr(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/tcp/{}", address.ip(), address.port())
}

fn socket(multiaddr: &str) -> Option<SocketAddr> {
    let mut parts = multiaddr.split('/').skip(2);
    let (ip, tcp, port) = (parts.next()?, parts.next()?, parts.next()?);
    let is_tcp = tcp == "tcp";
    let address = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
    is_tcp.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_survives_the_way_through_a_multiaddr() {
        for text in ["127.0.0.1:4711", "[::1]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket(&multiaddr(address)), Some(address));
        }
        assert_eq!(socket("/unix/tmp/x"), None);
    }
}
