//! When a durable invocation looks for executors again: a pure back-off.
//!
//! Takes the time, gives whether a search is due. Never searches.

use std::time::Duration;

use tokio::time::Instant;

/// Pause before the second search; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether executors are being looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    NotBefore(Instant),
}

/// The searches of one life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    state: State,
    done: u32,
}

impl Search {
    /// None yet; the first is due at once.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            state: State::NotBefore(now),
            done: 0,
        }
    }

    /// Begins one, if it is time; gives whether it did.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.state, State::NotBefore(at) if now >= at);
        if is_due {
            self.state = State::UnderWay;
        }
        is_due
    }

    /// One is over.
    pub(super) fn ended(&mut self, now: Instant) {
        self.state = State::NotBefore(now + pause(self.done));
        self.done += 1;
    }

    /// Whether one is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.state == State::UnderWay
    }

    /// When the next may begin; none while one is under way.
    pub(super) const fn next(&self) -> Option<Instant> {
        match self.state {
            State::NotBefore(at) => Some(at),
            State::UnderWay => None,
        }
    }
}

/// The pause after so many searches.
pub(super) fn pause(searches: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << searches.min(16));
    doubled.min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_half_a_minute() {
        let now = Instant::now();
        let mut search = Search::new(now);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(search.begin(search.next().unwrap()));
            assert_eq!(search.next(), None);
            search.ended(now);
            pauses.push((search.next().unwrap() - now).as_millis());
        }
        assert_eq!(
            pauses,
            [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
    }
}
