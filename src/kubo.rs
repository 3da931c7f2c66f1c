//! The only place that knows Kubo's RPC.
//!
//! Takes typed calls ([`Client`], [`Cat`], [`Add`], …), gives typed answers and
//! streams that never end well on a truncated body. It publishes, reads, adds
//! and signs; it never decides when to, never retries what may not be repeated,
//! and takes nothing on Kubo's word that it can check: blocks against their
//! hash, bodies against length and trailer.
//!
//! ```text
//! client ── pubsub streams swarm routing node what a call means
//!    │      content add directory block dag pin sign
//!    ├── options, command                     which query keys exist
//!    ├── rpc ── body ── ndjson                one HTTP exchange, checked
//!    └── endpoint auth duration version       how Kubo is addressed
//! watch                                       is Kubo up?
//! ```
//!
//! Uses no other module of this crate but [`crate::task`], so that it can
//! become a crate of its own.

mod add;
mod auth;
mod block;
mod body;
mod client;
mod command;
mod content;
mod dag;
mod directory;
mod duration;
mod endpoint;
mod error;
mod ndjson;
mod node;
mod options;
mod pin;
mod pubsub;
mod routing;
mod rpc;
mod sign;
mod streams;
mod swarm;
mod upload;
mod version;
pub mod watch;

pub use add::Added;
pub use auth::Auth;
pub use block::{BLOCK_LIMIT, Codec, verify_block};
pub use body::Content;
pub use client::{Client, Config};
pub use command::option_keys;
pub use content::{Entry, Kind};
pub use dag::DagStat;
pub use directory::Tree;
pub use duration::{format_go_duration, parse_go_duration};
pub use endpoint::{Address, Endpoint};
pub use error::Error;
pub use node::{NodeId, RepoStat};
pub use options::{Add, Cat, Fetch, FindProviders, PinAdd, STALL};
pub use pin::Pin;
#[cfg(any(test, fuzzing))]
pub use pubsub::fuzz;
pub use pubsub::{Message, PUBLISH_LIMIT, Subscription, from_multibase, to_multibase};
pub use routing::Provider;
pub use sign::{SIGN_PREFIX, verify_signature};
pub use streams::Forward;
pub use swarm::SwarmPeer;
pub use upload::AddBody;
pub use version::Version;
