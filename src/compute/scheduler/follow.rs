//! Follows what a running invocation writes to its standard error.
//!
//! Takes an invocation, gives the bytes as they come. Asks the executor for
//! what comes after what is known, one question at a time: a lost piece is
//! asked for again, and nobody who does not follow costs anything.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::Scheduler;
use crate::{
    mesh::Address,
    model::{Follow, LeaseId, Message, PeerId, Piece},
};

/// How long an answer may take before it is asked for again: an executor waits
/// a second for something to say.
const ANSWER: Duration = Duration::from_secs(3);
/// Pause while there is nothing to follow.
const PAUSE: Duration = Duration::from_millis(200);

/// Questions that wait for their pieces.
#[derive(Debug, Default)]
pub(super) struct Followers {
    next: AtomicU64,
    asked: Mutex<HashMap<u64, (PeerId, oneshot::Sender<Piece>)>>,
}

impl Followers {
    /// An executor answered.
    pub(super) fn answered(&self, from: &PeerId, piece: Piece) {
        let mut asked = self.asked.lock();
        if asked.get(&piece.id).is_some_and(|(peer, _)| peer == from)
            && let Some((_, answer)) = asked.remove(&piece.id)
        {
            let _nobody_waits_any_more = answer.send(piece);
        }
    }

    fn ask(&self, peer: PeerId) -> (u64, oneshot::Receiver<Piece>) {
        let (answer, piece) = oneshot::channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut asked = self.asked.lock();
        asked.retain(|_, (_, answer)| !answer.is_closed());
        asked.insert(id, (peer, answer));
        drop(asked);
        (id, piece)
    }

    fn forget(&self, id: u64) {
        self.asked.lock().remove(&id);
    }
}

/// How far one follower is.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    /// The invocation.
    pub(crate) invocation: String,
    /// Of which lease the bytes are.
    pub(crate) lease: Option<LeaseId>,
    /// Bytes given of it.
    pub(crate) given: u64,
}

impl Following {
    /// At the beginning.
    pub(crate) const fn new(invocation: String) -> Self {
        Self {
            invocation,
            lease: None,
            given: 0,
        }
    }

    /// Another try is followed from its beginning; but one of a pure call says
    /// what the one before said, and goes on where that was left.
    pub(crate) fn turn_to(&mut self, lease: LeaseId, is_pure: bool) {
        if self.lease.replace(lease).is_some_and(|old| old != lease) && !is_pure {
            self.given = 0;
        }
    }

    /// What of a piece was not given yet.
    fn take(&mut self, piece: Piece) -> Option<Bytes> {
        let is_next = piece.from == self.given && !piece.data.is_empty();
        is_next.then(|| {
            self.given += piece.data.len() as u64;
            Bytes::from(piece.data)
        })
    }
}

impl Scheduler {
    /// Waits for the next bytes; none once the invocation ended.
    pub(crate) async fn follow(&self, following: &mut Following) -> Option<Bytes> {
        loop {
            let mut over = self.open.over(&following.invocation)?;
            let Some(followed) = self.open.followed(&following.invocation) else {
                let _still_open = timeout(PAUSE, over.wait_for(|is_over| *is_over)).await;
                continue;
            };
            following.turn_to(followed.lease, followed.is_pure);
            let piece = self.piece(followed.peer, followed.lease, following.given);
            let piece = tokio::select! {
                piece = piece => piece,
                _ended = over.wait_for(|is_over| *is_over) => return None,
            };
            let is_over = piece.as_ref().is_none_or(|piece| piece.is_over);
            if let Some(bytes) = piece.and_then(|piece| following.take(piece)) {
                return Some(bytes);
            }
            if is_over {
                let _still_open = timeout(PAUSE, over.wait_for(|is_over| *is_over)).await;
            }
        }
    }

    async fn piece(&self, peer: PeerId, lease: LeaseId, from: u64) -> Option<Piece> {
        let (id, piece) = self.followers.ask(peer);
        self.send(
            Address::from(peer),
            Message::Follow(Follow { id, lease, from }),
        );
        let piece = timeout(ANSWER, piece).await;
        self.followers.forget(id);
        piece.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(from: u64, data: &[u8]) -> Piece {
        Piece {
            id: 0,
            from,
            data: data.to_vec(),
            is_over: false,
        }
    }

    #[test]
    fn bytes_are_given_once_and_in_order() {
        let mut following = Following::new("a".to_owned());
        assert_eq!(following.take(piece(0, b"one")).unwrap(), "one");
        assert_eq!(following.take(piece(0, b"one")), None, "an old piece");
        assert_eq!(
            following.take(piece(9, b"far")),
            None,
            "one from further on"
        );
        assert_eq!(following.take(piece(3, b"two")).unwrap(), "two");
    }

    #[test]
    fn a_second_try_is_followed_from_its_beginning_unless_it_says_the_same() {
        let (one, two) = (LeaseId::new(1, 1), LeaseId::new(2, 2));
        for (is_pure, goes_on_at) in [(true, 3), (false, 0)] {
            let mut following = Following::new("a".to_owned());
            following.turn_to(one, is_pure);
            following.take(piece(0, b"one"));
            following.turn_to(one, is_pure);
            assert_eq!(following.given, 3);
            following.turn_to(two, is_pure);
            assert_eq!(following.given, goes_on_at, "pure: {is_pure}");
        }
    }
}
