//! A simulated owner that notices a silent link.
//!
//! Takes since when nothing came, breaks the link or looks again: the gate
//! decides, as in the program.

use std::time::Duration;

use super::{
    Bug,
    world::{Happening, World},
};
use crate::compute::scheduler::gate::Silence;

impl World {
    /// Nothing came over a link since then: is that believed?
    pub(super) fn owner_doubts(&mut self, which: usize, since: Duration) {
        if self.owner.is_down {
            return;
        }
        let (peer, now) = (self.peer(which), self.instant());
        self.owner.gate.broke(&peer, now);
        let silence = match self.bug {
            Some(Bug::NoBrake) => Silence::Theirs,
            _ => self.owner.gate.silence(&peer, self.at_instant(since), now),
        };
        match silence {
            Silence::Theirs => self.owner_unlinked(which),
            Silence::Settled => {}
            Silence::Unclear(until) => {
                self.at(self.since_base(until), Happening::Silence(which, since));
            }
        }
    }
}
