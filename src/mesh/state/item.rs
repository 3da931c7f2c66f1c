//! An envelope that is to be published, before it is signed.

use bytes::Bytes;

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
    /// To one peer; a HELLO says the addresses.
    To(Address, Outgoing, Vec<String>),
    /// To all, at this Unix time.
    Advert(Box<Advert>, u64),
    /// To ourselves.
    Probe(u64),
}

impl Item {
    /// Messages in it that go out for the second time: a sign of loss.
    pub(crate) fn lost(&self) -> usize {
        match self {
            Self::To(_, Outgoing::Frame(departing), _) => departing.lost,
            _ => 0,
        }
    }

    /// Signs it; gives topic and envelope.
    pub(crate) fn seal(
        self,
        mesh: &str,
        me: &Address,
        identity: &Identity,
    ) -> Result<(String, Bytes), Refusal> {
        let header = |kind, to: Option<&Address>| Header {
            v: VERSION,
            net: mesh.to_owned(),
            kind,
            from: me.clone(),
            kid: identity.kid(),
            to: to.cloned(),
            session: None,
            seq: None,
            ts: None,
            exp: None,
        };
        let key = identity.key();
        let topic = match &self {
            Self::To(to, ..) => topics::inbox(mesh, to),
            Self::Advert(..) => topics::adverts(mesh),
            Self::Probe(_) => topics::inbox(mesh, me),
        };
        let bytes = match self {
            Self::To(to, Outgoing::Hello(greeting), addresses) => {
                let (nonce, echo) = (greeting.nonce, greeting.echo);
                let body = Hello {
                    nonce,
                    echo,
                    binding: identity.binding(),
                    addresses,
                };
                envelope::seal(header(Kind::Hello, Some(&to)), &body, key)?
            }
            Self::To(to, Outgoing::Frame(departing), _) => {
                let (session, seq) = (Some(departing.session), Some(departing.seq));
                let header = Header {
                    session,
                    seq,
                    ..header(Kind::Frame, Some(&to))
                };
                envelope::seal(header, &departing.frame, key)?
            }
            Self::To(to, Outgoing::Bye(session, seq), _) => {
                let (session, seq) = (Some(session), Some(seq));
                let header = Header {
                    session,
                    seq,
                    ..header(Kind::Bye, Some(&to))
                };
                envelope::seal(header, &Empty {}, key)?
            }
            Self::Advert(advert, now) => {
                let life = (advert.period_ms / 1_000 + 1) * 3;
                let (ts, exp) = (Some(now), Some(now + life.min(MAX_LIFE_S)));
                let body = Announcement {
                    binding: identity.binding(),
                    advert: *advert,
                };
                envelope::seal(
                    Header {
                        ts,
                        exp,
                        ..header(Kind::Advert, None)
                    },
                    &body,
                    key,
                )?
            }
            Self::Probe(number) => {
                let header = Header {
                    seq: Some(number),
                    ..header(Kind::Probe, Some(me))
                };
                envelope::seal(header, &Empty {}, key)?
            }
        };
        Ok((topic, bytes.into()))
    }
}
