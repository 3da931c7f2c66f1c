//! The door for programs: `/api/v0/compute/*` in Kubo's manners.
//!
//! Takes HTTP requests on the home's unix socket (and on TCP with a bearer
//! token), gives JSON, newline-delimited events and byte streams. It knows a
//! [`Backend`] and nothing behind it, and decides nothing about invocations.
//!
//! - `backend`: what a node can do, as one trait
//! - `shape`: the JSON of everything that is not an invocation
//! - `kind`, `status`: which failure is which answer
//! - `router`: the paths; `query`: strict parameters; `guard`: the TCP door
//! - `server`, `client`: the two ends

mod backend;
mod client;
mod content;
mod functions;
mod guard;
mod images;
mod invocations;
mod kind;
mod machine;
mod query;
mod router;
mod server;
mod shape;
mod status;

pub use backend::{Backend, EventStream};
pub use client::{Client, Events};
pub use kind::Kind;
pub use router::{MODULE_MAX, PATHS, PREFIX};
pub use server::{Error as ServerError, Server};
pub use shape::{
    Allowed, Freed, Health, Kept, NodeInfo, NodeView, Output, Reach, Removed, Storage, Version,
};
