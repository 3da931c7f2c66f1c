//! How two sidecars come to a session that no recording can bring back.
//!
//! Symmetric, without a tie-break: each side picks a nonce for the other and
//! says it in a HELLO, together with the nonce it heard. Who hears its own
//! fresh nonce knows that the other is there now. An old HELLO proves nothing
//! and changes nothing; a proven one voids the session before it. Where both
//! have a session, an old HELLO must not make each prove itself to the other
//! anew: what echoes a nonce that is nobody's any more is answered with the
//! living session. A nonce is a fresh public key, so both sides have the
//! session's keys as soon as they have the session. Pure.

use libp2p_identity::PeerId;
use sha2::{Digest, Sha256};

use crate::{
    model::BootId,
    wire::{
        KeyId, Refusal,
        body::{Nonce, SessionId},
        seal::{Keys, Secret},
    },
};

const DOMAIN: &[u8] = b"timerose/session/1";

/// One start of one sidecar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Party {
    pub(crate) peer: PeerId,
    pub(crate) kid: KeyId,
    pub(crate) boot: BootId,
}

/// One side of one session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Face {
    pub(crate) party: Party,
    pub(crate) nonce: Nonce,
}

/// What a HELLO says: the own nonce, and the other's where it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) nonce: Nonce,
    pub(crate) echo: Option<Nonce>,
}

/// What a HELLO or a frame did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Of the living session; the other may not know yet that it lives.
    Confirm,
    /// Not proven: to be answered with this.
    Greet(Greeting),
    /// An answer to what we never asked, or long ago, while a session lives: to
    /// be answered with that session.
    Stale(Greeting),
    /// A session began; one before it is void.
    Established(SessionId),
    /// Of no session that is or could be.
    Unknown,
}

#[derive(Clone, Debug)]
struct Current {
    id: SessionId,
    nonce: Nonce,
    remote: Face,
    keys: Result<Keys, Refusal>,
}

impl Current {
    fn greeting(&self) -> Greeting {
        Greeting {
            nonce: self.nonce,
            echo: Some(self.remote.nonce),
        }
    }
}

#[derive(Clone, Debug)]
struct Pending {
    secret: Secret,
    remote: Option<Face>,
}

/// The state of greeting one peer.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    me: Party,
    current: Option<Current>,
    pending: Option<Pending>,
}

impl Handshake {
    pub(crate) const fn new(me: Party) -> Self {
        Self {
            me,
            current: None,
            pending: None,
        }
    }

    /// The living session.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.current.as_ref().map(|current| current.id)
    }

    /// What seals the traffic of a session that is or could be.
    ///
    /// # Errors
    /// [`Refusal::Session`], or that the other's key is none.
    pub(crate) fn keys(&self, id: SessionId) -> Result<Keys, Refusal> {
        if let Some(current) = self.current.as_ref().filter(|current| current.id == id) {
            return current.keys.clone();
        }
        let pending = self.pending.as_ref().ok_or(Refusal::Session)?;
        let remote = pending.remote.as_ref().ok_or(Refusal::Session)?;
        if self.id_with(pending.secret.public(), remote) != id {
            return Err(Refusal::Session);
        }
        pending.secret.agree(&remote.nonce, &id)
    }

    /// The other side of the living session.
    pub(crate) fn remote(&self) -> Option<&Face> {
        self.current.as_ref().map(|current| &current.remote)
    }

    /// What to say to begin, or to make oneself heard again. `fresh` is used
    /// where no nonce is out yet.
    pub(crate) fn greeting(&mut self, fresh: Secret) -> Greeting {
        if let Some(current) = &self.current {
            return current.greeting();
        }
        let pending = self.pending.get_or_insert(Pending {
            secret: fresh,
            remote: None,
        });
        let echo = pending.remote.as_ref().map(|remote| remote.nonce);
        Greeting {
            nonce: pending.secret.public(),
            echo,
        }
    }

    /// A HELLO arrived whose signature and binding hold.
    pub(crate) fn on_hello(&mut self, from: Face, echo: Option<Nonce>, fresh: Secret) -> Heard {
        if let Some(current) = &self.current {
            let is_proven = echo == Some(current.nonce);
            if current.remote == from {
                return match is_proven {
                    true => Heard::Confirm,
                    false => Heard::Greet(current.greeting()),
                };
            }
            if echo.is_some() && !is_proven && !self.is_pending(echo) {
                return Heard::Stale(current.greeting());
            }
        }
        let pending = self.pending.get_or_insert(Pending {
            secret: fresh,
            remote: None,
        });
        let nonce = pending.secret.public();
        if echo == Some(nonce) {
            let secret = pending.secret.clone();
            return Heard::Established(self.establish(&secret, from));
        }
        let greeting = Greeting {
            nonce,
            echo: Some(from.nonce),
        };
        pending.remote = Some(from);
        Heard::Greet(greeting)
    }

    fn is_pending(&self, echo: Option<Nonce>) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| echo == Some(pending.secret.public()))
    }

    /// Something of a session arrived, which its keys opened: only who heard
    /// our fresh nonce has them.
    pub(crate) fn on_session(&mut self, id: SessionId) -> Heard {
        if self.session() == Some(id) {
            return Heard::Confirm;
        }
        let Some(Pending {
            secret,
            remote: Some(remote),
        }) = self.pending.clone()
        else {
            return Heard::Unknown;
        };
        if self.id_with(secret.public(), &remote) != id {
            return Heard::Unknown;
        }
        Heard::Established(self.establish(&secret, remote))
    }

    /// The session is over; the next one has nonces of its own.
    pub(crate) fn end(&mut self) {
        self.current = None;
        self.pending = None;
    }

    fn establish(&mut self, secret: &Secret, remote: Face) -> SessionId {
        let nonce = secret.public();
        let id = self.id_with(nonce, &remote);
        let keys = secret.agree(&remote.nonce, &id);
        self.current = Some(Current {
            id,
            nonce,
            remote,
            keys,
        });
        self.pending = None;
        id
    }

    fn id_with(&self, nonce: Nonce, remote: &Face) -> SessionId {
        let me = Face {
            party: self.me.clone(),
            nonce,
        };
        let mut faces = [&me, remote];
        faces.sort();
        let mut hash = Sha256::new_with_prefix(DOMAIN);
        for face in faces {
            hash.update(format!(
                "{} {} {} ",
                face.party.peer, face.party.kid, face.party.boot
            ));
            hash.update(face.nonce.as_slice());
        }
        SessionId::new(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(number: u8, boot: u64) -> Party {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
        let signer = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
        Party {
            peer: key.public().to_peer_id(),
            kid: KeyId::of(&signer.verifying_key()),
            boot: BootId::new(boot, 0),
        }
    }

    fn secret(number: u8) -> Secret {
        Secret::of([number; 32])
    }

    fn face(party: Party, number: u8) -> Face {
        Face {
            party,
            nonce: secret(number).public(),
        }
    }

    /// `a` greets, `b` answers, `a` is established and its first frame proves
    /// the session to `b`.
    fn shake(a: &mut Handshake, b: &mut Handshake, fresh: u8) -> SessionId {
        let hello = a.greeting(secret(fresh));
        let from_a = Face {
            party: a.me.clone(),
            nonce: hello.nonce,
        };
        let Heard::Greet(reply) = b.on_hello(from_a, hello.echo, secret(fresh + 1)) else {
            panic!("a first greeting proves nothing");
        };
        let from_b = Face {
            party: b.me.clone(),
            nonce: reply.nonce,
        };
        let Heard::Established(id) = a.on_hello(from_b, reply.echo, secret(fresh + 2)) else {
            panic!("an echo of the fresh nonce proves");
        };
        assert_eq!(b.on_session(id), Heard::Established(id));
        id
    }

    #[test]
    fn one_round_trip_makes_a_session_on_both_sides() {
        let (mut a, mut b) = (Handshake::new(party(1, 1)), Handshake::new(party(2, 1)));
        let id = shake(&mut a, &mut b, 10);
        assert_eq!((a.session(), b.session()), (Some(id), Some(id)));
    }

    #[test]
    fn greetings_that_cross_end_in_one_session() {
        let (mut a, mut b) = (Handshake::new(party(1, 1)), Handshake::new(party(2, 1)));
        let (hello_a, hello_b) = (a.greeting(secret(1)), b.greeting(secret(2)));
        let from = |side: &Handshake, hello: Greeting| Face {
            party: side.me.clone(),
            nonce: hello.nonce,
        };
        let (from_a, from_b) = (from(&a, hello_a), from(&b, hello_b));
        let Heard::Greet(to_b) = a.on_hello(from_b.clone(), None, secret(3)) else {
            panic!()
        };
        let Heard::Greet(to_a) = b.on_hello(from_a.clone(), None, secret(4)) else {
            panic!()
        };
        assert!(matches!(
            a.on_hello(from_b, to_a.echo, secret(5)),
            Heard::Established(_)
        ));
        assert!(matches!(
            b.on_hello(from_a, to_b.echo, secret(6)),
            Heard::Established(_)
        ));
        assert_eq!(a.session(), b.session());
    }

    #[test]
    fn a_replayed_greeting_of_an_earlier_boot_voids_nothing() {
        let (mut a, mut b) = (Handshake::new(party(1, 1)), Handshake::new(party(2, 1)));
        shake(&mut a, &mut b, 10);
        let recorded = a.greeting(secret(99));
        let mut restarted = Handshake::new(party(1, 2));
        let id = shake(&mut restarted, &mut b, 20);
        let old = face(party(1, 1), 10);
        assert_eq!(old.nonce, recorded.nonce);
        assert!(matches!(
            b.on_hello(old.clone(), recorded.echo, secret(30)),
            Heard::Stale(_)
        ));
        assert!(matches!(b.on_hello(old, None, secret(31)), Heard::Greet(_)));
        assert_eq!(b.session(), Some(id));
    }

    #[test]
    fn a_proven_restart_voids_the_session_before_it() {
        let (mut a, mut b) = (Handshake::new(party(1, 1)), Handshake::new(party(2, 1)));
        let before = shake(&mut a, &mut b, 10);
        let mut restarted = Handshake::new(party(1, 2));
        let after = shake(&mut restarted, &mut b, 20);
        assert_ne!(before, after);
        assert_eq!(b.session(), Some(after));
        assert_eq!(b.on_session(before), Heard::Unknown);
    }

    #[test]
    fn a_session_is_confirmed_as_often_as_the_other_asks() {
        let (mut a, mut b) = (Handshake::new(party(1, 1)), Handshake::new(party(2, 1)));
        let id = shake(&mut a, &mut b, 10);
        let hello = a.greeting(secret(50));
        let from_a = Face {
            party: a.me.clone(),
            nonce: hello.nonce,
        };
        assert_eq!(
            b.on_hello(from_a.clone(), hello.echo, secret(51)),
            Heard::Confirm
        );
        assert!(matches!(
            b.on_hello(from_a, None, secret(52)),
            Heard::Greet(_)
        ));
        assert_eq!(b.session(), Some(id));
    }

    #[test]
    fn after_an_end_the_old_session_is_unknown() {
        let (mut a, mut b) = (Handshake::new(party(1, 1)), Handshake::new(party(2, 1)));
        let id = shake(&mut a, &mut b, 10);
        b.end();
        assert_eq!(b.on_session(id), Heard::Unknown);
        let again = shake(&mut a_fresh(&mut a), &mut b, 40);
        assert_ne!(again, id);
    }

    fn a_fresh(a: &mut Handshake) -> Handshake {
        a.end();
        a.clone()
    }
}
