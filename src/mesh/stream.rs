//! The fast carrier: a Kubo p2p stream for each pair of sidecars.
//!
//! Takes streams that Kubo brings and dials for those that sessions want; each
//! is a conversation of length-prefixed envelopes, the same as on pubsub. Never
//! greets, and believes nothing but envelopes: any peer reaches the listener
//! through Kubo, and any local process directly.
//!
//! Kubo ends of streams are TCP on loopback: a unix socket would have to lie
//! where Kubo's user may write, and keeps nobody out who has no key anyway.

mod conversation;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use self::conversation::{Conversation, Ended};
use super::{
    config::Carrier,
    event::{Event, Interruption},
    shared::{Shared, fresh_secret},
};
use crate::{
    kubo::{self, watch::Presence},
    task::Tasks,
    wire::{Address, topics},
};

/// Streams that may be open at once, proven or not.
const MAX_STREAMS: usize = 1_024;
/// How often it is looked whether somebody is to be dialled.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long Kubo may take to open a forward and its stream.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(2);
/// A stream that ends because the own Kubo did says nothing of the peer; so
/// long it takes to know.
const BLAME_PAUSE: Duration = Duration::from_millis(100);
/// How long a farewell to Kubo may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Whether streams may be used, and Kubo's loopback is this machine's.
fn is_possible(shared: &Shared) -> bool {
    shared.config.carrier != Carrier::Pubsub && shared.kubo.endpoint().is_on_this_machine()
}

/// Has Kubo bring streams, again after each of its restarts, for ever.
pub(super) async fn listen(shared: Arc<Shared>, tasks: Tasks) {
    if !is_possible(&shared) {
        return;
    }
    let bound = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await;
    let (listener, address) = match bound.and_then(|l| Ok((l.local_addr()?, l))) {
        Ok((address, listener)) => (listener, address),
        Err(error) => return warn!(%error, "no socket for streams: pubsub carries everything"),
    };
    tasks.spawn(
        "mesh.accept",
        accept(Arc::clone(&shared), tasks.clone(), listener),
    );
    let mut presence = shared.watch.subscribe();
    loop {
        let is_up = matches!(&*presence.borrow_and_update(), Presence::Up { .. });
        let is_done = !is_up || ask_kubo(&shared, address).await;
        tokio::select! {
            changed = presence.changed() => if changed.is_err() { return },
            () = sleep(LISTEN_PAUSE), if !is_done => {}
        }
    }
}

/// Tells Kubo where streams end; false where another try may do better.
async fn ask_kubo(shared: &Shared, address: SocketAddr) -> bool {
    let protocol = topics::stream(&shared.config.mesh);
    let asked = shared.kubo.stream_listen(&protocol, address).await;
    let (takes, is_done) = match asked {
        Ok(()) => (true, true),
        Err(error @ (kubo::Error::StreamsDisabled | kubo::Error::Forbidden { .. })) => {
            info!(%error, "no streams: pubsub carries everything");
            (false, true)
        }
        Err(error) => {
            debug!(%error, "not listening for streams");
            (false, !error.retryable())
        }
    };
    shared.change(|state| state.set_takes_streams(takes, fresh_secret));
    is_done
}

async fn accept(shared: Arc<Shared>, tasks: Tasks, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MAX_STREAMS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((socket, _)) = listener.accept().await else {
            sleep(LOOK_INTERVAL).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn("mesh.stream", async move {
            converse(&shared, socket, None).await;
            drop(place);
        });
    }
}

/// Dials whoever is linked and takes streams, for ever.
pub(super) async fn dial(shared: Arc<Shared>, tasks: Tasks) {
    if !is_possible(&shared) {
        return;
    }
    loop {
        if shared.is_kubo_up() {
            let due = shared.state.lock().dials_due(Instant::now());
            for peer in due {
                let shared = Arc::clone(&shared);
                tasks.spawn("mesh.stream", async move { dial_one(&shared, peer).await });
            }
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn dial_one(shared: &Shared, peer: Address) {
    let opened = timeout(DIAL_TIMEOUT, open(shared, &peer)).await;
    let was_proven = match opened {
        Ok(Ok(socket)) => converse(shared, socket, Some(peer.clone())).await,
        Ok(Err(reason)) => {
            debug!(peer.id = %peer, reason, "no stream");
            false
        }
        Err(_) => false,
    };
    if !was_proven {
        shared.state.lock().not_dialled(&peer, Instant::now());
    }
}

/// A socket whose other end is the peer's sidecar, if it has one.
async fn open(shared: &Shared, peer: &Address) -> Result<TcpStream, String> {
    let protocol = topics::stream(&shared.config.mesh);
    let forward = shared.kubo.stream_forward(&protocol, &peer.peer).await;
    let forward = forward.map_err(|e| e.to_string())?;
    TcpStream::connect(forward.local)
        .await
        .map_err(|e| e.to_string())
}

/// One stream from its first envelope to its end; gives whether the other end
/// was proven to be who it should be.
async fn converse(shared: &Shared, socket: TcpStream, dialled: Option<Address>) -> bool {
    let (ended, peer) = match Conversation::begin(shared, socket, dialled).await {
        Ok(conversation) => conversation.run().await,
        Err(ended) => {
            debug!(%ended, "a stream led nowhere");
            return false;
        }
    };
    debug!(peer.id = %peer, %ended, "a stream ended");
    match ended {
        Ended::Replaced => {}
        Ended::Silent => blame(shared, peer, Interruption::Silent).await,
        _ => blame(shared, peer, Interruption::Ended).await,
    }
    true
}

/// Tells the roles that a peer's stream broke, unless it was the own Kubo.
async fn blame(shared: &Shared, peer: Address, how: Interruption) {
    shared.watch.nudge();
    sleep(BLAME_PAUSE).await;
    if shared.is_kubo_up() {
        shared.change(|state| {
            state.counters.streams_broken += 1;
            state.events.push_back(Event::Interrupted(peer, how));
        });
    }
}

/// Has Kubo forget where streams end.
pub(super) async fn close(shared: &Shared) {
    let takes = shared.state.lock().takes_streams();
    if takes {
        let protocol = topics::stream(&shared.config.mesh);
        let closed = shared.kubo.close_listener(&protocol);
        let _kubo_may_be_gone = timeout(CLOSE_TIMEOUT, closed).await;
    }
}
