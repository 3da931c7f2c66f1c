//! How many tries more than calls there may be: buckets of tokens.
//!
//! Takes calls and the time, gives whether a token is left. A share of the
//! calls, so that a mesh in trouble gets little more to do than it had.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens that each call brings to each bucket.
const PER_CALL: f64 = 0.2;
/// Hedges at once, before any call has brought a token.
const HEDGES_AT_ONCE: f64 = 10.0;
/// Retries that are there however few calls there are.
const RETRIES_PER_SECOND: f64 = 10.0;
/// Retries at once: what ten seconds bring.
const RETRIES_AT_ONCE: f64 = 100.0;
/// When to look again into an empty bucket that no time fills.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A bucket, full at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    tokens: f64,
    most: f64,
    per_second: f64,
    filled: Option<Instant>,
}

impl Budget {
    /// For second attempts while the first may still be alive.
    pub(super) const fn of_hedges() -> Self {
        Self::new(HEDGES_AT_ONCE, 0.0)
    }

    /// For attempts after one that came to nothing.
    pub(super) const fn of_retries() -> Self {
        Self::new(RETRIES_AT_ONCE, RETRIES_PER_SECOND)
    }

    const fn new(most: f64, per_second: f64) -> Self {
        Self {
            tokens: most,
            most,
            per_second,
            filled: None,
        }
    }

    /// A call began.
    pub(super) fn called(&mut self) {
        self.tokens = (self.tokens + PER_CALL).min(self.most);
    }

    /// Takes a token, or says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let filled = self.filled.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.most);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let missing = Duration::try_from_secs_f64((1.0 - self.tokens) / self.per_second);
        Err(now + missing.map_or(LOOK_AGAIN, |wait| wait.max(Duration::from_millis(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut Budget, now: Instant) -> usize {
        (0..1_000).take_while(|_| budget.take(now).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn hedges_are_ten_at_once_and_then_a_fifth_of_the_calls() {
        let (mut hedges, now) = (Budget::of_hedges(), Instant::now());
        assert_eq!(taken(&mut hedges, now), 10);
        let later = now + Duration::from_secs(3_600);
        assert_eq!(hedges.take(later), Err(later + LOOK_AGAIN));
        (0..26).for_each(|_| hedges.called());
        assert_eq!(taken(&mut hedges, later), 5);
        (0..1_000).for_each(|_| hedges.called());
        assert_eq!(taken(&mut hedges, later), 10, "no more are saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_ten_a_second_and_a_fifth_of_the_calls() {
        let (mut retries, now) = (Budget::of_retries(), Instant::now());
        assert_eq!(taken(&mut retries, now), 100);
        let again = retries.take(now).unwrap_err();
        assert_eq!((again - now).as_millis(), 100);
        assert_eq!(taken(&mut retries, now + Duration::from_secs(2)), 20);
        (0..51).for_each(|_| retries.called());
        assert_eq!(taken(&mut retries, now + Duration::from_secs(2)), 10);
    }
}
