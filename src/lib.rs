//! TimeRose adds compute to IPFS nodes: a sidecar beside an unmodified Kubo.
//! Functions, inputs, results and receipts are CIDs; a call goes to where its
//! input already lies.
//!
//! # One invocation, top to bottom
//!
//! ```text
//! cli ─► api ─► compute::scheduler ─► mesh ══► mesh ─► compute::executor ─► sandbox
//!                 │  prepare: call and its CID            │  stage: code, input
//!                 │  placement, ranking: who, why         │  attempt: run, store, sign
//!                 │  lifecycle: lease, next try           │
//!                 ◄── verify, settle ◄═══════════ receipt ┘
//! ```
//!
//! 1. A door ([`cli`], [`api`]) hands a request to the scheduler of its node.
//! 2. `prepare` makes the [`model::Call`], whose CID is the key of memoization.
//! 3. `placement` asks everyone who may hold the input or run the code;
//!    `ranking` turns the answers into predicted milliseconds.
//! 4. `lifecycle`, a pure machine, offers the call to one executor at a time
//!    under a lease, and to the next when that one declines or falls silent.
//! 5. The executor stages code and input from its own [`kubo`], runs them in a
//!    [`sandbox`], stores the output and signs a [`model::Receipt`].
//! 6. `verify` checks signature, call and lease before anybody sees a result.
//!
//! # Rooms
//!
//! Imports go one way:
//! `cli, api -> compute -> mesh, sandbox -> kubo -> wire -> model`.
//! [`node`] alone wires them; [`task`] alone spawns; [`config`] and [`cli`]
//! alone look at the environment. The tidy test holds all of it.
//!
//! What is absent on purpose: no swarm of our own, no broker, no chain; the
//! scheduler and the executor never call each other, also on one node; guest
//! code never runs in this process; nothing that came over the mesh is
//! believed before [`wire`] has checked it.

pub mod api;
pub mod cli;
pub mod compute;
pub mod config;
mod crash;
pub mod kubo;
pub mod mesh;
pub mod model;
pub mod node;
pub mod sandbox;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod wire;
