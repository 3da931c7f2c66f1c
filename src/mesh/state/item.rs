//! An envelope that is to be published, before it is signed or sealed.

use bytes::Bytes;
use serde::Serialize;

use crate::{
    mesh::{identity::Identity, session::Outgoing},
    model::Advert,
    wire::{
        Address, Refusal,
        body::{Announcement, Empty, Hello},
        envelope::{self, Header, Kind, MAX_LIFE_S, VERSION},
        topics,
    },
};

/// What to publish.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// To one peer.
    To(Address, Outgoing, Said),
    /// To all, at this Unix time.
    Advert(Box<Advert>, u64),
    /// To ourselves.
    Probe(u64),
}

/// What a HELLO says of its sender's Kubo.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) addresses: Vec<String>,
    pub(crate) streams: bool,
}

impl Item {
    /// The one peer that it is for, if it is for one.
    pub(crate) const fn receiver(&self) -> Option<&Address> {
        match self {
            Self::To(to, ..) => Some(to),
            Self::Advert(..) | Self::Probe(_) => None,
        }
    }

    /// Messages in it that go out for the second time: a sign of loss.
    pub(crate) fn lost(&self) -> usize {
        match self {
            Self::To(_, Outgoing::Frame(departing, _), _) => departing.lost,
            _ => 0,
        }
    }

    /// Where it is published.
    pub(crate) fn topic(&self, mesh: &str, me: &Address) -> String {
        match self {
            Self::To(to, ..) => topics::inbox(mesh, to),
            Self::Advert(..) => topics::adverts(mesh),
            Self::Probe(_) => topics::inbox(mesh, me),
        }
    }

    /// Signs or seals it; gives the envelope.
    pub(crate) fn seal(
        self,
        mesh: &str,
        me: &Address,
        identity: &Identity,
    ) -> Result<Bytes, Refusal> {
        let seal = Seal { mesh, me, identity };
        let bytes = match self {
            Self::To(to, outgoing, said) => seal.outgoing(&to, outgoing, said)?,
            Self::Advert(advert, now) => seal.advert(*advert, now)?,
            Self::Probe(number) => {
                let seq = Some(number);
                let header = seal.header(Kind::Probe, Some(me));
                seal.envelope(Header { seq, ..header }, &Empty {})?
            }
        };
        Ok(bytes.into())
    }
}

/// Who sends, and in which mesh.
struct Seal<'a> {
    mesh: &'a str,
    me: &'a Address,
    identity: &'a Identity,
}

impl Seal<'_> {
    fn header(&self, kind: Kind, to: Option<&Address>) -> Header {
        Header {
            v: VERSION,
            net: self.mesh.to_owned(),
            kind,
            from: self.me.clone(),
            kid: Some(self.identity.kid()),
            to: to.cloned(),
            session: None,
            seq: None,
            ts: None,
            exp: None,
        }
    }

    fn envelope<B: Serialize>(&self, header: Header, body: &B) -> Result<Vec<u8>, Refusal> {
        envelope::sign(&header, body, self.identity.key())
    }

    fn outgoing(&self, to: &Address, outgoing: Outgoing, said: Said) -> Result<Vec<u8>, Refusal> {
        let in_session = |kind, session, seq| Header {
            kid: None,
            session: Some(session),
            seq: Some(seq),
            ..self.header(kind, Some(to))
        };
        match outgoing {
            Outgoing::Hello(greeting) => {
                let body = Hello {
                    nonce: greeting.nonce,
                    echo: greeting.echo,
                    binding: self.identity.binding(),
                    addresses: said.addresses,
                    streams: said.streams,
                };
                self.envelope(self.header(Kind::Hello, Some(to)), &body)
            }
            Outgoing::Frame(departing, keys) => {
                let header = in_session(Kind::Frame, departing.session, departing.seq);
                envelope::seal(&header, &departing.frame, &keys)
            }
            Outgoing::Bye(session, seq, keys) => {
                envelope::seal(&in_session(Kind::Bye, session, seq), &Empty {}, &keys)
            }
        }
    }

    fn advert(&self, advert: Advert, now: u64) -> Result<Vec<u8>, Refusal> {
        let life = (advert.period_ms / 1_000 + 1) * 3;
        let header = Header {
            ts: Some(now),
            exp: Some(now + life.min(MAX_LIFE_S)),
            ..self.header(Kind::Advert, None)
        };
        let binding = self.identity.binding();
        self.envelope(header, &Announcement { binding, advert })
    }
}
