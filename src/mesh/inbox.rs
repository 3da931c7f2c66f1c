//! The subscriptions: read, bound, enqueue, nothing else.
//!
//! Kubo buffers 32 messages and then drops, so the reader never waits. Streams
//! are let go at once when Kubo stops (they would hold its shutdown for 30 s),
//! and taken up again when it answers; a gap is closed by retransmission.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info};

use super::{
    health::Duty,
    shared::{Shared, fresh_secret},
};
use crate::{
    kubo::{Message, Subscription, watch::Presence},
    wire::topics,
};

/// Envelopes that may wait to be opened.
pub(super) const MAX_WAITING: usize = 1_024;
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE_MS: u64 = 20;
const LAST_PAUSE_MS: u64 = 1_000;
/// So many adverts of our own that do not come back condemn their subscription.
const SILENT_ADVERTS: u32 = 3;

/// What a subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Envelopes to this sidecar.
    Inbox,
    /// Adverts of all.
    Adverts,
}

/// Keeps one subscription for ever.
pub(super) async fn run(shared: Arc<Shared>, topic: Topic, queue: mpsc::Sender<Message>) {
    let name = match topic {
        Topic::Inbox => topics::inbox(&shared.config.mesh, &shared.me),
        Topic::Adverts => topics::adverts(&shared.config.mesh),
    };
    let mut pause_ms = FIRST_PAUSE_MS;
    loop {
        shared.watch.up().await;
        match timeout(SUBSCRIBE_TIMEOUT, shared.kubo.subscribe(&name)).await {
            Ok(Ok(subscription)) => {
                pause_ms = FIRST_PAUSE_MS;
                info!(topic = name, "subscribed");
                shared.state.lock().on_done(Duty::Subscribe);
                read(&shared, topic, subscription, &queue).await;
            }
            Ok(Err(error)) => {
                debug!(topic = name, %error, "not subscribed");
                shared.state.lock().on_refused(Duty::Subscribe, &error);
            }
            Err(_) => debug!(topic = name, "no answer to subscribing"),
        }
        shared.watch.nudge();
        sleep(jittered(pause_ms)).await;
        pause_ms = (pause_ms * 2).min(LAST_PAUSE_MS);
    }
}

/// Reads until the stream ends, Kubo stops, the self-probe condemns it, or no
/// advert comes.
async fn read(
    shared: &Shared,
    topic: Topic,
    mut stream: Subscription,
    queue: &mpsc::Sender<Message>,
) {
    let _gone = Subscribed::begin(shared, topic);
    let mut presence = shared.watch.subscribe();
    let down = presence.wait_for(|presence| *presence == Presence::Down);
    tokio::pin!(down);
    // Beside others', our own adverts come back.
    let silence = shared.config.advert_interval * SILENT_ADVERTS;
    loop {
        tokio::select! {
            biased;
            _ = &mut down => return,
            () = shared.resubscribe.notified(), if topic == Topic::Inbox => return,
            () = sleep(silence), if topic == Topic::Adverts => return,
            message = stream.next() => match message {
                Ok(Some(message)) => {
                    if queue.try_send(message).is_err() {
                        shared.state.lock().counters.overflowed += 1;
                    }
                }
                Ok(None) => return,
                Err(error) => return debug!(%error, "a subscription broke"),
            }
        }
    }
}

/// Tells the state that the inbox is there, and that it is gone on drop.
struct Subscribed<'a> {
    shared: &'a Shared,
    topic: Topic,
}

impl<'a> Subscribed<'a> {
    fn begin(shared: &'a Shared, topic: Topic) -> Self {
        if topic == Topic::Inbox {
            shared.change(|state| state.on_subscribed(fresh_secret, Instant::now()));
        }
        Self { shared, topic }
    }
}

impl Drop for Subscribed<'_> {
    fn drop(&mut self) {
        if self.topic == Topic::Inbox {
            self.shared.change(|state| state.probe.end());
        }
    }
}

/// Half to all of a pause, so that many do not come back at once.
fn jittered(pause_ms: u64) -> Duration {
    let mut random = [0; 2];
    let _same_pause_for_all = getrandom::fill(&mut random);
    let part = u64::from(u16::from_be_bytes(random)) * (pause_ms / 2) / u64::from(u16::MAX);
    Duration::from_millis(pause_ms / 2 + part)
}
