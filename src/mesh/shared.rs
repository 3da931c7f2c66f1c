//! What the mesh's tasks share: settings, Kubo, the state, who to wake.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    config::Config,
    identity::Identity,
    state::{Own, State},
};
use crate::{
    kubo,
    kubo::watch::{Presence, Watch},
    wire::{Address, seal::Secret},
};

/// Between two tries to get random numbers, of which a running system has some.
const NO_RANDOMNESS_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) kubo: kubo::Client,
    pub(super) watch: Watch,
    pub(super) identity: Identity,
    pub(super) me: Address,
    /// Never held over an await.
    pub(super) state: Mutex<State>,
    /// For the publisher: there may be something to send.
    pub(super) wake: Arc<Notify>,
    /// For those who meet peers: somebody is to be met.
    pub(super) errand: Arc<Notify>,
    /// For the roles: there are events.
    pub(super) happened: Notify,
    /// For callers: a session came or went, a queue has room.
    pub(super) changed: Notify,
    /// For the inbox: its subscription is dead.
    pub(super) resubscribe: Notify,
    /// For the rendezvous: there may be something to provide.
    pub(super) advertised: Notify,
}

impl Shared {
    pub(super) fn new(
        config: Config,
        kubo: kubo::Client,
        watch: Watch,
        identity: Identity,
    ) -> Self {
        let me = if config.attached {
            Address::attached(identity.peer(), identity.kid())
        } else {
            Address::node(identity.peer())
        };
        let own = Own {
            me: me.clone(),
            party: identity.party(),
            carrier: config.carrier,
            forwards: config.forward,
            patience: config.patience(),
            advert_interval: config.advert_interval,
        };
        let state = State::new(own);
        Self {
            wake: Arc::clone(&state.wake),
            errand: Arc::clone(&state.errand),
            state: Mutex::new(state),
            config,
            kubo,
            watch,
            identity,
            me,
            happened: Notify::new(),
            changed: Notify::new(),
            resubscribe: Notify::new(),
            advertised: Notify::new(),
        }
    }

    /// Changes the state and wakes whoever may care.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = act(&mut self.state.lock());
        self.wake.notify_one();
        self.happened.notify_one();
        self.changed.notify_waiters();
        result
    }

    /// Whether an address means this very sidecar.
    pub(super) fn is_me(&self, address: &Address) -> bool {
        let is_mine = address
            .kid
            .as_ref()
            .is_none_or(|kid| *kid == self.identity.kid());
        address.peer == self.me.peer && is_mine
    }

    pub(super) fn is_kubo_up(&self) -> bool {
        matches!(self.watch.presence(), Presence::Up { .. })
    }
}

/// A fresh key of the system's randomness. Whoever can guess it can speak as
/// this node, which is therefore silent while there is none.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing may go on without randomness, of which a running system has some"
)]
pub(super) fn fresh_secret() -> Secret {
    let mut bits = [0; 32];
    while getrandom::fill(&mut bits).is_err() {
        tracing::error!("the system gives no random numbers: nobody is greeted");
        std::thread::sleep(NO_RANDOMNESS_PAUSE);
    }
    Secret::of(bits)
}
