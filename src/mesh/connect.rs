//! Links up with one peer: dial, find it on its inbox topic, greet; through
//! relays, where that takes long.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    error::Error,
    reach::dial_peer,
    shared::Shared,
    state::{FORWARD_AFTER, State},
};
use crate::wire::{Address, topics};

const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);
/// How long relays may still find a peer that could not be dialled.
const LAST_HOPE: Duration = Duration::from_millis(1_500);

/// A session that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The smoothed round trip, once measured.
    pub rtt: Option<Duration>,
}

impl Shared {
    /// Links up with `to` within `wait`.
    pub(super) async fn connect(
        &self,
        to: &Address,
        addresses: &[String],
        wait: Duration,
    ) -> Result<Link, Error> {
        if self.is_me(to) {
            return Ok(Link {
                rtt: Some(Duration::ZERO),
            });
        }
        let until = Instant::now() + wait;
        if !self.state.lock().is_up(to) {
            self.link(to, addresses, (until, wait)).await?;
        }
        Ok(Link {
            rtt: self.state.lock().srtt(to),
        })
    }

    /// Directly, and around where that takes long.
    async fn link(
        &self,
        to: &Address,
        addresses: &[String],
        (until, wait): (Instant, Duration),
    ) -> Result<(), Error> {
        let direct = async {
            self.meet(to, addresses, until).await?;
            self.greet(to, until, wait).await
        };
        let around = async {
            sleep(FORWARD_AFTER).await;
            self.seek(to).await;
        };
        let linked = tokio::select! {
            linked = direct => linked,
            () = around => Ok(()),
        };
        match linked {
            Err(Error::Kubo(error)) => Err(Error::Kubo(error)),
            Err(direct) => {
                let until = until.min(Instant::now() + LAST_HOPE);
                let around = timeout_at(until, self.seek_while_hopeful(to)).await;
                let is_linked = around.unwrap_or_else(|_| self.state.lock().is_up(to));
                if is_linked {
                    Ok(())
                } else {
                    Err(self.with_refusal(to, direct))
                }
            }
            Ok(()) => Ok(()),
        }
    }

    /// Speaks to a peer through relays; returns once a session lives.
    async fn seek(&self, to: &Address) {
        self.change(|state| state.seek(to, Instant::now()));
        self.until(|state| state.is_up(to).then_some(())).await;
    }

    /// The same; false once it is plain that no relay can help.
    async fn seek_while_hopeful(&self, to: &Address) -> bool {
        self.change(|state| state.seek(to, Instant::now()));
        self.until(|state| {
            let is_up = state.is_up(to);
            let is_over = is_up || state.is_hopeless(to, Instant::now());
            is_over.then_some(is_up)
        })
        .await
    }

    /// Waits for what the state tells.
    pub(super) async fn until<T>(&self, tells: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let told = tells(&self.state.lock());
            match told {
                Some(told) => return told,
                None => changed.await,
            }
        }
    }

    /// An error that also says what relays said.
    fn with_refusal(&self, to: &Address, direct: Error) -> Error {
        match self.state.lock().why_not_around(to) {
            Some(why) => Error::Unreachable {
                to: Box::new(to.clone()),
                reason: format!("{direct}; {why}"),
            },
            None => direct,
        }
    }

    /// Returns once Kubo sees the peer on its inbox topic.
    async fn meet(&self, to: &Address, addresses: &[String], until: Instant) -> Result<(), Error> {
        if self.is_listening(to).await? {
            self.state.lock().on_seen(to, true, Instant::now());
            return Ok(());
        }
        let known = self.state.lock().addresses_of(to);
        let all: Vec<String> = addresses.iter().chain(&known).cloned().collect();
        let dialled = timeout_at(until, dial_peer(&self.kubo, to, &all)).await;
        let unreachable = |reason| Error::Unreachable {
            to: Box::new(to.clone()),
            reason,
        };
        match dialled {
            Ok(dialled) => dialled.map_err(unreachable)?,
            Err(_) => return Err(unreachable("no answer in time".to_owned())),
        }
        let mut pause = FIRST_LOOK;
        while !self.is_listening(to).await? {
            if Instant::now() + pause >= until {
                let mesh = self.config.mesh.clone();
                return Err(Error::NoTimeRose {
                    to: Box::new(to.clone()),
                    mesh,
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
        self.state.lock().on_seen(to, true, Instant::now());
        Ok(())
    }

    /// Whether Kubo sees a peer on its inbox topic.
    pub(super) async fn is_listening(&self, to: &Address) -> Result<bool, Error> {
        let topic = topics::inbox(&self.config.mesh, to);
        Ok(self.kubo.topic_peers(&topic).await?.contains(&to.peer))
    }

    /// Returns once a session lives.
    async fn greet(&self, to: &Address, until: Instant, waited: Duration) -> Result<(), Error> {
        self.change(|state| state.greet(to, Instant::now()))
            .ok_or(Error::Crowded)?;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (is_up, is_over) = {
                let state = self.state.lock();
                (state.is_up(to), state.is_given_up(to))
            };
            if is_up {
                return Ok(());
            }
            if is_over || timeout_at(until, changed).await.is_err() {
                return Err(Error::Timeout {
                    to: Box::new(to.clone()),
                    waited,
                });
            }
        }
    }
}
