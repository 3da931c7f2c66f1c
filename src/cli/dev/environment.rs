//! The environment of what is started: ours, without what would lead it to
//! another Kubo or another home, in a network of its own where one is named.
//! Other settings of TimeRose pass on.

use std::{net::Ipv4Addr, path::Path};

use tokio::process::Command;

/// Variables of these families would leak somebody's settings into a node.
const FAMILIES: [&str; 5] = [
    "IPFS_",
    "LIBP2P_",
    "TIMEROSE_PATH",
    "TIMEROSE_KUBO__",
    "TIMEROSE_API__",
];

/// A network namespace that exists already, and where a node is in it. Only
/// root may start anything there; the namespace shares our files and sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name, as `ip netns` lists it.
    pub namespace: String,
    /// The address by which other nodes reach this one.
    pub address: Ipv4Addr,
}

/// A command for `program` that inherits no setting of Kubo or TimeRose. The
/// process that it starts is that of the program, also in a namespace.
pub(super) fn command(program: &Path, place: Option<&Place>) -> Command {
    let mut command = match place {
        None => Command::new(program),
        Some(place) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &place.namespace]);
            command.arg(program);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        let known = name.to_str().unwrap_or_default();
        if FAMILIES.iter().any(|family| known.starts_with(family)) {
            command.env_remove(&name);
        }
    }
    command
}
