//! How fast places become free, and so when who was refused may ask again.
//!
//! Takes ends and refusals with the time, gives a wait: the turn of this one
//! among all who were refused, at the rate at which invocations ended lately.

use std::time::Duration;

use tokio::time::Instant;

/// Ends are counted over so long before they count for the rate.
const WINDOW: Duration = Duration::from_secs(1);
/// The shortest wait: who asks again at once only adds to the load.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest wait, also where nothing ended yet.
const LONGEST: Duration = Duration::from_secs(60);

/// The pace of one scheduler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: Instant,
    ended: u32,
    per_second: Option<f64>,
    /// Those refused whose turn has not come.
    backlog: f64,
    drained: Instant,
}

impl Pace {
    /// Nothing ended yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            ended: 0,
            per_second: None,
            backlog: 0.0,
            drained: now,
        }
    }

    /// An invocation ended.
    pub(super) fn ended(&mut self, now: Instant) {
        self.measure(now);
        self.ended = self.ended.saturating_add(1);
    }

    /// One was refused: when it may ask again.
    pub(super) fn refused(&mut self, now: Instant) -> Duration {
        self.measure(now);
        let rate = self.per_second.unwrap_or(0.0);
        let passed = now.saturating_duration_since(self.drained).as_secs_f64();
        self.backlog = (self.backlog - passed * rate).max(0.0) + 1.0;
        self.drained = now;
        let wait = Duration::try_from_secs_f64(self.backlog / rate);
        wait.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
    }

    fn measure(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed < WINDOW {
            return;
        }
        let measured = f64::from(self.ended) / passed.as_secs_f64();
        let before = self.per_second.unwrap_or(measured);
        self.per_second = Some(f64::midpoint(before, measured));
        (self.ended, self.since) = (0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_waits_for_its_turn_at_the_rate_of_ends() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        (0..10).for_each(|_| pace.ended(now));
        let later = now + WINDOW;
        let waits: Vec<u128> = (0..30).map(|_| pace.refused(later).as_millis()).collect();
        assert_eq!(waits[0], SHORTEST.as_millis());
        assert_eq!((waits[9], waits[29]), (1_000, 3_000));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_ends_the_wait_is_the_longest() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.refused(now), LONGEST);
        assert_eq!(pace.refused(now + WINDOW * 5), LONGEST);
    }
}
