//! Opens what the inbox took in and hands it to the state.
//!
//! Cheap checks first: a share per sender, then the wire's own order. Every
//! refusal is counted by its reason; none is answered, but a frame of a session
//! that is not known here, which a greeting answers.

mod share;

use std::sync::Arc;

use libp2p_identity::PeerId;
use tokio::{sync::mpsc, time::Instant};
use tracing::debug;

use self::share::Shares;
use super::{
    clock,
    shared::{Shared, fresh_secret},
    state::Origin,
};
use crate::{
    kubo::Message,
    wire::{
        Address, Refusal,
        envelope::{self, Envelope, Expect, Kind},
    },
};

/// Opens envelopes for ever.
pub(super) async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Message>) {
    let mut shares = Shares::default();
    while let Some(message) = queue.recv().await {
        let now = Instant::now();
        let taken = take(&shared, &mut shares, &message, now);
        shared.change(|state| match taken {
            Ok(()) => state.counters.received += 1,
            Err(refusal) => {
                debug!(peer.id = %message.from, %refusal, "refused");
                state.counters.refuse(refusal);
            }
        });
    }
}

/// Opens what a stream brought: traffic of a session and nothing else. Gives
/// whose it is; nothing vouches for a stream but the envelopes in it.
pub(super) fn take_streamed(
    shared: &Shared,
    data: &[u8],
    now: Instant,
) -> Result<Address, Refusal> {
    let taken = envelope::parse(data).and_then(|envelope| {
        if !matches!(envelope.header.kind, Kind::Frame | Kind::Bye) {
            return Err(Refusal::Malformed);
        }
        open(shared, &envelope, (None, None), now)?;
        Ok(envelope.header.from)
    });
    let counters = &mut shared.state.lock().counters;
    match &taken {
        Ok(_) => counters.received += 1,
        Err(refusal) => counters.refuse(*refusal),
    }
    taken
}

fn take(
    shared: &Shared,
    shares: &mut Shares,
    message: &Message,
    now: Instant,
) -> Result<(), Refusal> {
    let is_own = message.from == shared.me.peer;
    let is_linked = is_own || shared.state.lock().is_linked(&message.from);
    if !shares.take(is_linked.then_some(message.from), now) {
        return Err(Refusal::Rate);
    }
    let envelope = envelope::parse(&message.data)?;
    let taken = open(shared, &envelope, (None, Some(message.from)), now);
    // Kubo vouches for who published; without that a greeting could be
    // provoked to somebody who said nothing.
    let is_senders_own = envelope.header.from.peer == message.from && !is_own;
    if is_senders_own {
        greet_stranger(shared, &envelope, taken, None, now);
    }
    taken
}

/// Opens what a relay brought: what is said to one peer and nothing else.
fn take_forwarded(shared: &Shared, relay: &Address, data: &[u8], now: Instant) {
    let taken = envelope::parse(data).and_then(|envelope| {
        let is_to_one = matches!(envelope.header.kind, Kind::Hello | Kind::Frame | Kind::Bye);
        if !is_to_one || envelope.header.from == shared.me {
            return Err(Refusal::Malformed);
        }
        let taken = open(shared, &envelope, (Some(relay), None), now);
        // What it provokes goes to this relay alone.
        greet_stranger(shared, &envelope, taken, Some(relay), now);
        taken
    });
    let counters = &mut shared.state.lock().counters;
    match taken {
        Ok(()) => counters.received += 1,
        Err(refusal) => counters.refuse(refusal),
    }
}

fn greet_stranger(
    shared: &Shared,
    envelope: &Envelope,
    taken: Result<(), Refusal>,
    via: Option<&Address>,
    now: Instant,
) {
    let is_stranger = taken == Err(Refusal::Session);
    if is_stranger && envelope.header.kind == Kind::Frame {
        let from = &envelope.header.from;
        let origin = Origin {
            from,
            via,
            publisher: None,
        };
        shared.change(|state| state.on_stranger(origin, fresh_secret(), now));
    }
}

/// Opens an envelope that came through `via`, or that `publisher`'s Kubo
/// published, or a stream brought, and those in it.
fn open(
    shared: &Shared,
    envelope: &Envelope,
    (via, publisher): (Option<&Address>, Option<PeerId>),
    now: Instant,
) -> Result<(), Refusal> {
    let expect = Expect {
        net: &shared.config.mesh,
        me: &shared.me,
        key: &shared.identity.key().verifying_key(),
        now: clock::unix_s(),
    };
    let from = &envelope.header.from;
    let content = envelope.open(&expect)?;
    let origin = Origin {
        from,
        via,
        publisher,
    };
    let heard = shared
        .state
        .lock()
        .hear(origin, content, fresh_secret, now)?;
    for forwarded in heard {
        take_forwarded(shared, from, &forwarded, now);
    }
    Ok(())
}
