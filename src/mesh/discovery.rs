//! Who may be worth asking: hints from every source at once, as they come.
//!
//! Provider records of the input, of the function and of the rendezvous,
//! adverts, neighbours on the adverts topic, configured and remembered peers.
//! A hint proves nothing: the peer counts once it answered. A dead or slow
//! router holds nobody up, and the search ends with its time.

use std::{collections::HashSet, sync::Arc, time::Duration};

use cid::Cid;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use libp2p_identity::PeerId;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::shared::Shared;
use crate::{
    kubo::{FindProviders, Provider},
    wire::topics,
};

/// Providers taken of each look-up.
const MAX_PROVIDERS: usize = 64;
/// Hints of one search.
const MAX_HINTS: usize = 512;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// The root whose holders are wanted.
    pub input: Option<Cid>,
    /// The function that may be warm with somebody.
    pub function: Option<Cid>,
    /// The sandbox that is needed: `wasm`.
    pub runtime: String,
    /// When the search ends.
    pub timeout: Duration,
}

/// Why somebody is worth asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// It is this node itself.
    Own,
    /// It provides the input.
    Input,
    /// It provides the function.
    Function,
    /// It provides the rendezvous CID.
    Rendezvous,
    /// It advertises the runtime.
    Advert,
    /// It listens to adverts, connected to this Kubo.
    Neighbour,
    /// The configuration names it.
    Configured,
    /// It was good before.
    Remembered,
}

impl Source {
    /// The word in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Input => "input",
            Self::Function => "function",
            Self::Rendezvous => "rendezvous",
            Self::Advert => "advert",
            Self::Neighbour => "neighbour",
            Self::Configured => "configured",
            Self::Remembered => "remembered",
        }
    }
}

/// Somebody worth asking. A peer comes once for each source that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Whom.
    pub peer: PeerId,
    /// Where it may be dialled, each with `/p2p/…`; often nothing.
    pub addresses: Vec<String>,
    /// Why.
    pub source: Source,
}

/// All hints of a query, until all sources are done or the time is over.
pub(super) fn find(shared: Arc<Shared>, query: Query) -> BoxStream<'static, Hint> {
    let until = Instant::now() + query.timeout;
    let rendezvous = topics::rendezvous(&shared.config.mesh, &query.runtime);
    let sought = [
        (query.input, Source::Input),
        (query.function, Source::Function),
        (Some(rendezvous), Source::Rendezvous),
    ];
    let mut sources = vec![stream::iter(known(&shared, &query.runtime)).boxed()];
    sources.push(neighbours(Arc::clone(&shared)));
    for (cid, source) in sought {
        if let Some(cid) = cid {
            sources.push(providers(Arc::clone(&shared), cid, source, query.timeout));
        }
    }
    let mut seen = HashSet::new();
    stream::select_all(sources)
        .take_until(sleep_until(until))
        .filter(move |hint| std::future::ready(seen.insert((hint.peer, hint.source))))
        .take(MAX_HINTS)
        .boxed()
}

/// What is known without asking anybody.
fn known(shared: &Shared, runtime: &str) -> Vec<Hint> {
    let state = shared.state.lock();
    let own = (shared.me.peer, state.own_addresses(), Source::Own);
    let adverts = state
        .directory
        .snapshot(|peer| state.is_linked(peer), Instant::now());
    let adverts = adverts.into_iter().filter(|known| {
        known.advert.roles.executor
            && !known.is_suspect
            && known.advert.runtimes.contains_key(runtime)
    });
    let adverts = adverts.map(|known| (known.peer, known.advert.addresses, Source::Advert));
    let configured = shared.config.peers.iter().filter_map(|address| {
        let peer = address.rsplit("/p2p/").next()?.parse().ok()?;
        Some((peer, vec![address.clone()], Source::Configured))
    });
    let remembered = state.directory.remembered().iter().rev();
    let remembered = remembered.map(|good| (good.peer, good.addresses.clone(), Source::Remembered));
    let all = std::iter::once(own)
        .chain(configured)
        .chain(adverts)
        .chain(remembered);
    all.map(|(peer, addresses, source)| Hint {
        peer,
        addresses,
        source,
    })
    .collect()
}

/// Whoever Kubo is connected to and listens to adverts of this mesh.
fn neighbours(shared: Arc<Shared>) -> BoxStream<'static, Hint> {
    let asked = async move {
        let topic = topics::adverts(&shared.config.mesh);
        let peers = shared.kubo.topic_peers(&topic).await.unwrap_or_default();
        stream::iter(peers.into_iter().take(MAX_PROVIDERS).map(|peer| Hint {
            peer,
            addresses: Vec::new(),
            source: Source::Neighbour,
        }))
    };
    stream::once(asked).flatten().boxed()
}

fn providers(
    shared: Arc<Shared>,
    cid: Cid,
    source: Source,
    timeout: Duration,
) -> BoxStream<'static, Hint> {
    let asked = async move {
        let options = FindProviders {
            max: MAX_PROVIDERS as u32,
            timeout,
        };
        match shared.kubo.find_providers(&cid, options).await {
            Ok(found) => found
                .filter_map(move |found| std::future::ready(hint(found, source)))
                .boxed(),
            Err(error) => {
                debug!(%cid, %error, "no providers could be looked up");
                stream::empty().boxed()
            }
        }
    };
    stream::once(asked).flatten().take(MAX_PROVIDERS).boxed()
}

fn hint(found: Result<Provider, crate::kubo::Error>, source: Source) -> Option<Hint> {
    let Provider { id, addrs } = found.ok()?;
    let addresses = addrs.into_iter().map(|address| {
        if address.contains("/p2p/") {
            address
        } else {
            format!("{address}/p2p/{id}")
        }
    });
    Some(Hint {
        peer: id,
        addresses: addresses.collect(),
        source,
    })
}
