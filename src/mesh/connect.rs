//! Links up with one peer: dial, find it on its inbox topic, greet.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{error::Error, reach::dial_peer, shared::Shared};
use crate::wire::{Address, topics};

const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);

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
            self.meet(to, addresses, until).await?;
            self.greet(to, until, wait).await?;
        }
        Ok(Link {
            rtt: self.state.lock().srtt(to),
        })
    }

    /// Returns once Kubo sees the peer on its inbox topic.
    async fn meet(&self, to: &Address, addresses: &[String], until: Instant) -> Result<(), Error> {
        if self.is_listening(to).await? {
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
        Ok(())
    }

    async fn is_listening(&self, to: &Address) -> Result<bool, Error> {
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
