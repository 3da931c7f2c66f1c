//! The one publisher of this Kubo: one `pub` in flight, whatever the topic.
//!
//! Takes what the state has to say, gives it to Kubo, or back to the state where
//! it goes through a relay. What waits meanwhile leaves as one frame per receiver. Kubo drops what is published concurrently
//! or out of order, so nothing else in this program may publish. A 200 is no
//! acknowledgement: sessions repeat what was lost.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{
    health::Duty,
    shared::{Shared, fresh_secret},
    state::{Item, Paths},
};
use crate::kubo;

/// How often one envelope is offered to Kubo.
const MAX_OFFERS: u32 = 4;
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two offers, where Kubo said neither yes nor no.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// After a message that Kubo itself ignored: another publisher was faster.
const IGNORED_PAUSE: Duration = Duration::from_millis(2);

/// Publishes for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut pace = Pace::default();
    loop {
        wait_for_kubo(&shared).await;
        let turn = shared.state.lock().turn(fresh_secret, Instant::now());
        if turn.resubscribe {
            warn!("the self-probe did not come back: subscribing anew");
            shared.resubscribe.notify_one();
        }
        if let Some((item, paths)) = turn.item {
            let lost = item.lost();
            send(&shared, item, &paths).await;
            if paths.is_published {
                pace.sent(lost);
                if let Some(gap) = pace.gap() {
                    wait(gap, &shared.wake, || shared.state.lock().is_under_way()).await;
                }
            }
            continue;
        }
        // Silence may have ended sessions.
        shared.happened.notify_one();
        shared.changed.notify_waiters();
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep_until(turn.wake) => {}
        }
    }
}

/// Waits for a gap, or until nothing that was published is still on its way:
/// what is alone there crowds nothing out, so one caller is never held up.
async fn wait(gap: Duration, wake: &Notify, is_under_way: impl Fn() -> bool) {
    let until = Instant::now() + gap;
    while is_under_way() {
        tokio::select! {
            () = wake.notified() => {}
            () = sleep_until(until) => return,
        }
    }
}

/// While there is no Kubo nobody is to blame for being silent.
async fn wait_for_kubo(shared: &Shared) {
    if !shared.is_kubo_up() {
        shared.watch.up().await;
        shared.state.lock().excuse(Instant::now());
    }
}

/// Gives it to relays, or to Kubo, or to both.
async fn send(shared: &Shared, item: Item, paths: &Paths) {
    let (mesh, me) = (&shared.config.mesh, &shared.me);
    let (receiver, topic) = (item.receiver().cloned(), item.topic(mesh, me));
    let bytes = match item.seal(mesh, me, &shared.identity) {
        Ok(bytes) => bytes,
        Err(refusal) => return warn!(%refusal, "an envelope could not be made"),
    };
    if let Some(to) = receiver {
        let mut state = shared.state.lock();
        for relay in &paths.relays {
            state.hand_over(relay, &to, &bytes, Instant::now());
        }
    }
    if paths.is_published {
        publish(shared, topic, bytes).await;
    }
}

async fn publish(shared: &Shared, topic: String, bytes: Bytes) {
    for _ in 0..MAX_OFFERS {
        match offer(shared, &topic, bytes.clone()).await {
            Ok(()) => return shared.state.lock().on_published(),
            Err(error) if error.retryable() && shared.is_kubo_up() => {
                debug!(topic, %error, "publishing again");
                shared.state.lock().counters.publish_retries += 1;
                let was_ignored = matches!(error, kubo::Error::ValidationIgnored);
                sleep(if was_ignored {
                    IGNORED_PAUSE
                } else {
                    RETRY_PAUSE
                })
                .await;
            }
            Err(error) => {
                debug!(topic, %error, "not published");
                shared.state.lock().on_refused(Duty::Publish, &error);
                break;
            }
        }
    }
    shared.state.lock().counters.publish_failures += 1;
}

async fn offer(shared: &Shared, topic: &str, bytes: Bytes) -> Result<(), kubo::Error> {
    let over = kubo::Error::Timeout {
        command: "pubsub/pub",
        after: PUBLISH_TIMEOUT,
    };
    let offered = timeout(PUBLISH_TIMEOUT, shared.kubo.publish(topic, bytes)).await;
    let result = offered.unwrap_or(Err(over));
    if result
        .as_ref()
        .is_err_and(|error| !matches!(error, kubo::Error::ValidationIgnored))
    {
        shared.watch.nudge();
    }
    result
}

/// The gap between two publishes: none while nothing is lost, up to 50 ms.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    gap: Duration,
}

impl Pace {
    const STEP: Duration = Duration::from_millis(2);
    const MAX: Duration = Duration::from_millis(50);
    const NOTHING: Duration = Duration::from_micros(500);

    fn sent(&mut self, lost: usize) {
        self.gap = if lost > 0 {
            (self.gap * 2 + Self::STEP).min(Self::MAX)
        } else {
            self.gap * 9 / 10
        };
        if self.gap < Self::NOTHING {
            self.gap = Duration::ZERO;
        }
    }

    /// Nothing while it is closed: even the shortest sleep takes a millisecond.
    fn gap(self) -> Option<Duration> {
        (!self.gap.is_zero()).then_some(self.gap)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    #[test]
    fn loss_widens_the_gap_and_calm_closes_it() {
        let mut pace = Pace::default();
        pace.sent(0);
        assert_eq!(pace.gap(), None);
        (0..20).for_each(|_| pace.sent(1));
        assert_eq!(pace.gap(), Some(Pace::MAX));
        (0..60).for_each(|_| pace.sent(0));
        assert_eq!(pace.gap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_lasts_until_what_was_published_arrived() {
        let (wake, is_under_way) = (Notify::new(), AtomicBool::new(true));
        let began = Instant::now();
        let wait = || wait(Pace::MAX, &wake, || is_under_way.load(Relaxed));
        wait().await;
        assert_eq!(began.elapsed(), Pace::MAX, "it never arrived");
        let arrival = async {
            wake.notify_one();
            sleep(Pace::STEP).await;
            is_under_way.store(false, Relaxed);
            wake.notify_one();
        };
        tokio::join!(wait(), arrival);
        assert_eq!(began.elapsed(), Pace::MAX + Pace::STEP);
        wait().await;
        assert_eq!(began.elapsed(), Pace::MAX + Pace::STEP, "alone");
    }
}
