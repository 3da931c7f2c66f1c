//! The mesh: reliable messages between sidecars, over a pubsub that loses them.
//!
//! Takes messages to peers, gives [`Event`]s; finds who may be worth asking and
//! keeps adverts. Decides nothing about invocations and runs nothing.
//!
//! ```text
//! Mesh ── connect, discovery ── rendezvous      who is there
//!   │
//! state ── session ── handshake link            what is to be said, pure
//!   │  └── directory probe
//! publisher ─► Kubo ─► inbox ─► receive         one out, all in
//! stream ═════ Kubo ═════ stream ─► receive     where both ends have streams
//! reach, relays                                 dial, follow Kubo's restarts
//! identity                                      who we are
//! ```
//!
//! Two carriers under the same envelopes: pubsub always, and a Kubo p2p stream
//! that a session moves to by itself and leaves by itself when it breaks. Where
//! two Kubos cannot meet, a member that is linked with both passes envelopes on.

mod bucket;
mod clock;
mod config;
mod connect;
mod directory;
mod discovery;
mod error;
mod event;
mod health;
pub mod identity;
mod inbox;
mod publisher;
mod reach;
mod receive;
mod relays;
mod rendezvous;
mod session;
mod shared;
mod state;
mod stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    config::{Carrier, Config},
    connect::Link,
    directory::{Known, Remembered},
    discovery::{Hint, Query, Source},
    error::Error,
    event::{Event, Interruption},
    health::{Counters, Health},
    identity::Identity,
    session::DownReason,
};
use self::{shared::Shared, state::MAX_EVENTS};
pub use crate::wire::Address;
use crate::{
    kubo,
    model::{Advert, Message, PeerId},
    task::Tasks,
    wire::dagcbor,
};

/// Bytes of one message, beyond which it is refused.
pub const MAX_MESSAGE_BYTES: usize = 200 << 10;
/// Silence of a link, while something waits for an acknowledgement, after which
/// another way is tried and its peer is doubted.
pub const SILENCE: Duration = Duration::from_secs(3);
/// How long a farewell may take, and what is unacknowledged may be waited for.
const FAREWELL: Duration = Duration::from_millis(400);

/// The handle on the mesh. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mesh {
    shared: Arc<Shared>,
    tasks: Tasks,
}

impl Mesh {
    /// Joins the mesh over `kubo`; ends with `tasks`. Returns before anything
    /// is subscribed to: see [`Self::ready`].
    #[must_use]
    pub fn bind(
        config: Config,
        kubo: kubo::Client,
        identity: Identity,
        tasks: &Tasks,
    ) -> (Self, Events) {
        let tasks = tasks.child();
        let watch = kubo::watch::spawn(kubo.clone(), &tasks);
        identity.keep_bound(kubo.clone(), &tasks);
        let shared = Arc::new(Shared::new(config, kubo, watch, identity));
        start(&shared, &tasks);
        let events = Events {
            shared: Arc::clone(&shared),
            ended: tasks.cancelled(),
        };
        (Self { shared, tasks }, events)
    }

    /// Waits up to `wait` until messages can come and go; gives whether they can.
    pub async fn ready(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.health().is_ready() {
                return true;
            }
            if timeout_at(until, changed).await.is_err() {
                return false;
            }
        }
    }

    /// Queues a message: delivered once while a session lives, in no order. A
    /// peer without a session is greeted first. A message to this node itself
    /// comes back as an event, without Kubo.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Busy`], [`Error::Crowded`],
    /// [`Error::Unencodable`] or [`Error::Closed`]; what fails later is told by
    /// [`Event::Down`].
    pub async fn send(&self, to: &Address, message: Message) -> Result<(), Error> {
        let until = Instant::now() + self.shared.config.send_timeout;
        let parcel = Parcel::new(&self.shared, to, &message)?;
        loop {
            if self.tasks.cancelled().is_cancelled() {
                return Err(Error::Closed);
            }
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if parcel.post(&self.shared, to)? {
                return Ok(());
            }
            let is_over = timeout_at(until, changed).await.is_err();
            if is_over {
                return Err(Error::Busy {
                    to: Box::new(to.clone()),
                });
            }
        }
    }

    /// Queues a message where there is room for it now; gives it back where
    /// [`Self::send`] has to wait.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn post(&self, to: &Address, message: Message) -> Result<Option<Message>, Error> {
        if self.tasks.cancelled().is_cancelled() {
            return Err(Error::Closed);
        }
        let parcel = Parcel::new(&self.shared, to, &message)?;
        Ok((!parcel.post(&self.shared, to)?).then_some(message))
    }

    /// Links up with a peer within `wait`; `addresses` help to dial it.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NoTimeRose`], [`Error::Timeout`], or
    /// Kubo's own.
    pub async fn connect(
        &self,
        to: &Address,
        addresses: &[String],
        wait: Duration,
    ) -> Result<Link, Error> {
        self.shared.connect(to, addresses, wait).await
    }

    /// The smoothed round trip to a node, once measured.
    #[must_use]
    pub fn rtt(&self, peer: &PeerId) -> Option<Duration> {
        let address = Address::node(*peer);
        if self.shared.is_me(&address) {
            return Some(Duration::ZERO);
        }
        self.shared.state.lock().srtt(&address)
    }

    /// Every node whose advert holds.
    #[must_use]
    pub fn directory(&self) -> Vec<Known> {
        let state = self.shared.state.lock();
        state
            .directory
            .snapshot(|peer| state.is_linked(peer), Instant::now())
    }

    /// Whether a node's traffic goes over a stream.
    #[must_use]
    pub fn is_streaming(&self, peer: &PeerId) -> bool {
        self.shared.state.lock().is_streaming(&Address::node(*peer))
    }

    /// The member through which a linked node is spoken to, where there is no
    /// direct way to it.
    #[must_use]
    pub fn via(&self, peer: &PeerId) -> Option<PeerId> {
        let address = Address::node(*peer);
        self.shared.state.lock().via(&address).map(|via| via.peer)
    }

    /// Why relays did not help to speak to a node, if one said so.
    #[must_use]
    pub fn why_not_around(&self, peer: &PeerId) -> Option<String> {
        let state = self.shared.state.lock();
        state.why_not_around(&Address::node(*peer))
    }

    /// Whether a node can be spoken to now, this one included.
    #[must_use]
    pub fn is_linked(&self, peer: &PeerId) -> bool {
        self.shared.me.peer == *peer || self.shared.state.lock().is_up(&Address::node(*peer))
    }

    /// Every peer with a living session.
    #[must_use]
    pub fn linked(&self) -> Vec<Address> {
        self.shared.state.lock().linked()
    }

    /// Hints as they come, until every source is done or the query's time over.
    #[must_use]
    pub fn find(&self, query: Query) -> BoxStream<'static, Hint> {
        discovery::find(Arc::clone(&self.shared), query)
    }

    /// What to advertise; nothing also ends being found by the rendezvous CID.
    /// Addresses and period are filled in when it is said.
    pub fn set_advert(&self, advert: Option<Advert>) {
        self.shared.change(|state| state.set_advert(advert));
        self.shared.advertised.notify_one();
    }

    /// Remembers an executor that delivered.
    pub fn remember(&self, peer: &PeerId) {
        self.shared.state.lock().remember(*peer);
    }

    /// The remembered executors, to be stored.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        self.shared.state.lock().directory.remembered().to_vec()
    }

    /// Takes back what was stored.
    pub fn restore(&self, remembered: Vec<Remembered>) {
        let mut state = self.shared.state.lock();
        remembered
            .into_iter()
            .for_each(|good| state.directory.remember(good));
    }

    /// The address that others see.
    #[must_use]
    pub fn me(&self) -> Address {
        self.shared.me.clone()
    }

    /// Where the own Kubo can be dialled, at most eight, each with `/p2p/…`.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<String> {
        self.shared.state.lock().own_addresses()
    }

    /// Whether Kubo is up, for whoever else depends on it.
    #[must_use]
    pub fn kubo_watch(&self) -> kubo::watch::Watch {
        self.shared.watch.clone()
    }

    /// How the mesh does.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared
            .state
            .lock()
            .health(self.shared.is_kubo_up(), Instant::now())
    }

    /// Waits a moment for acknowledgements, says farewell, lets go of Kubo.
    pub async fn shutdown(&self) {
        self.until(state::State::is_settled).await;
        self.shared.change(state::State::leave);
        self.until(state::State::is_gone).await;
        stream::close(&self.shared).await;
        self.tasks.cancel();
    }

    async fn until(&self, is_so: impl Fn(&state::State) -> bool) {
        let waited = self.shared.until(|state| is_so(state).then_some(()));
        let _as_far_as_it_came = timeout(FAREWELL, waited).await;
    }
}

/// What happened, in its order, for the one who takes it.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    ended: CancellationToken,
}

impl Events {
    /// The next event; nothing once the mesh is shut down. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            let next = self.shared.state.lock().events.pop_front();
            if next.is_some() {
                self.shared.changed.notify_waiters();
                return next;
            }
            tokio::select! {
                () = self.shared.happened.notified() => {}
                () = self.ended.cancelled() => return None,
            }
        }
    }
}

/// A message on its way out.
enum Parcel {
    Own(Box<Message>),
    /// Its bytes, and whether nobody waits for it.
    Foreign(Bytes, bool),
}

impl Parcel {
    fn new(shared: &Shared, to: &Address, message: &Message) -> Result<Self, Error> {
        if shared.is_me(to) {
            return Ok(Self::Own(Box::new(message.clone())));
        }
        let bytes = dagcbor::encode(message)?;
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(Error::TooLarge {
                bytes: bytes.len(),
                limit: MAX_MESSAGE_BYTES,
            });
        }
        Ok(Self::Foreign(bytes.into(), message.may_wait()))
    }

    /// Queues it; false where there is no room now.
    fn post(&self, shared: &Shared, to: &Address) -> Result<bool, Error> {
        let mut state = shared.state.lock();
        let is_posted = match self {
            Self::Own(message) => {
                let has_room = state.events.len() < MAX_EVENTS;
                if has_room {
                    let from = Address::node(shared.me.peer);
                    state.events.push_back(Event::Message {
                        from,
                        message: (**message).clone(),
                    });
                }
                has_room
            }
            Self::Foreign(bytes, may_wait) => state
                .enqueue(to, (bytes, *may_wait), Instant::now())
                .ok_or(Error::Crowded)?,
        };
        let has_stream = state.is_streaming(to);
        drop(state);
        // A stream was told already.
        if !has_stream {
            shared.wake.notify_one();
        }
        shared.happened.notify_one();
        Ok(is_posted)
    }
}

/// Starts everything that runs beside the handle.
fn start(shared: &Arc<Shared>, tasks: &Tasks) {
    let (queue, waiting) = mpsc::channel(inbox::MAX_WAITING);
    let share = || Arc::clone(shared);
    tasks.spawn("mesh.publisher", publisher::run(share()));
    tasks.spawn(
        "mesh.inbox",
        inbox::run(share(), inbox::Topic::Inbox, queue.clone()),
    );
    tasks.spawn(
        "mesh.adverts",
        inbox::run(share(), inbox::Topic::Adverts, queue),
    );
    tasks.spawn("mesh.receive", receive::run(share(), waiting));
    tasks.spawn("mesh.follow", reach::follow(share()));
    tasks.spawn("mesh.redial", reach::redial(share()));
    tasks.spawn("mesh.relays", relays::meet(share()));
    tasks.spawn("mesh.straight", relays::dial(share()));
    tasks.spawn("mesh.streams", stream::dial(share(), tasks.child()));
    if !shared.config.attached {
        tasks.spawn("mesh.rendezvous", rendezvous::run(share()));
        tasks.spawn("mesh.listen", stream::listen(share(), tasks.child()));
    }
}
