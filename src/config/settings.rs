//! Every setting there is, with its default and what it does.
//!
//! Plain values; `config.rs` layers and checks them. Durations are in Go's
//! form, sizes in bytes or with a suffix.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    section::section,
    units::{Size, Span},
};
use crate::{mesh::Carrier, telemetry::Format};

section! {
    /// How Kubo is reached.
    Kubo {
        /// Multiaddr or URL of Kubo's RPC API. Unset: `$IPFS_PATH/api`, then
        /// `/ip4/127.0.0.1/tcp/5001`, as `ipfs` itself looks for it.
        api: Option<String> = None,
        /// Secret for `API.Authorizations`: `bearer:…` or `basic:user:pass`.
        auth: Option<String> = None,
        /// Kubo's repository. Unset: `$IPFS_PATH`, then `~/.ipfs`.
        ipfs_path: Option<PathBuf> = None,
        /// The peer ID this home belongs to; another Kubo is refused.
        peer: Option<String> = None,
        /// How long a short call to Kubo may take.
        timeout: Span = Span::secs(10),
        /// Accept a Kubo older than the tested floor.
        allow_old: bool = false,
    }
}

section! {
    /// Which mesh this node belongs to.
    Mesh {
        /// Nodes that share this name find each other.
        name: String = "public".to_owned(),
        /// Swarm addresses (with `/p2p/…`) of members that are tried at start.
        peers: Vec<String> = Vec::new(),
        /// What carries messages between nodes: `auto` (Kubo's p2p streams
        /// where both ends have them, else pubsub), `pubsub` or `stream`.
        carrier: Carrier = Carrier::Auto,
        /// Pass sealed messages on between two members that are linked with
        /// this node and cannot reach each other.
        forward: bool = true,
        /// How often this node says that it is there.
        advert_interval: Span = Span::secs(10),
    }
}

section! {
    /// What this node runs for others.
    Executor {
        /// Attempts that run at once. 0: as many as there are processors.
        slots: u32 = 0,
        /// Peer IDs that may run code here, or `any`, beside what
        /// `timerose allow add` granted. This node itself always may; while
        /// nobody else may, nothing is advertised.
        allow: Vec<String> = Vec::new(),
        /// Labels that callers can ask for.
        labels: BTreeMap<String, String> = BTreeMap::new(),
        /// Linear memory that all attempts may use together. Unset: half of
        /// the machine's.
        max_memory: Option<Size> = None,
        /// Bytes of the largest directory that is unpacked as input or code.
        max_unpacked: Size = Size(10 << 30),
        /// How long compiling a module may take.
        compile_timeout: Span = Span::secs(30),
        /// Where attempts keep their files, each node in a folder of its own.
        /// Unset: `work` in the home.
        work_dir: Option<PathBuf> = None,
    }
}

section! {
    /// Containers, on an engine that runs on this machine.
    Docker {
        /// Run containers where there is an engine and it keeps its promises.
        enabled: bool = true,
        /// The engine's unix socket. Unset: `$DOCKER_HOST`, then where Docker
        /// and Podman listen by default.
        socket: Option<PathBuf> = None,
        /// Processors that one container may use.
        processors: f64 = 1.0,
        /// Bytes of the largest image.
        max_image: Size = Size(20 << 30),
    }
}

section! {
    /// AWS Lambda functions, where containers run.
    Lambda {
        /// CIDs of images by runtime, so that code of that runtime runs here:
        /// `"python3.12" = "bafy…"`, as `timerose image add` prints them.
        images: BTreeMap<String, String> = BTreeMap::new(),
        /// Containers that stay warm, over all functions.
        max_warm: u32 = 8,
        /// For how long one stays warm that nobody asks for.
        idle: Span = Span::secs(300),
    }
}

section! {
    /// How invocations of this node's callers are placed.
    Scheduler {
        /// How long candidates are looked for.
        find_timeout: Span = Span::secs(2),
        /// How long a fetch may wait before a CID counts as missing.
        fetch_timeout: Span = Span::secs(10),
        /// Submit to result, retries included.
        timeout: Span = Span::secs(300),
        /// Invocations that are open at once; more are refused.
        max_open: u32 = 10_000,
        /// How much silence of an executor a lease survives.
        lease_ttl: Span = Span::secs(20),
    }
}

section! {
    /// What is kept on disk, and for how long.
    Storage {
        /// How long results stay.
        keep: Span = Span::secs(24 * 3600),
        /// How much they may take together; the oldest go first.
        max: Size = Size(10 << 30),
    }
}

section! {
    /// The door for programs.
    Api {
        /// Also listen on this TCP address, with the bearer token of the
        /// file `token`. Unset: the unix socket alone.
        listen: Option<String> = None,
    }
}

section! {
    /// What the daemon writes to standard error.
    Log {
        /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
        /// `info,timerose::mesh=debug`.
        level: String = "info".to_owned(),
        /// `text` or `json`.
        format: Format = Format::Text,
    }
}
