//! The environment of what is started: ours, without what would lead it to
//! another Kubo or another home. Other settings of TimeRose pass on.

use tokio::process::Command;

/// Variables of these families would leak somebody's settings into a node.
const FAMILIES: [&str; 5] = [
    "IPFS_",
    "LIBP2P_",
    "TIMEROSE_PATH",
    "TIMEROSE_KUBO__",
    "TIMEROSE_API__",
];

/// A command for `program` that inherits no setting of Kubo or TimeRose.
pub(super) fn command(program: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let known = name.to_str().unwrap_or_default();
        if FAMILIES.iter().any(|family| known.starts_with(family)) {
            command.env_remove(&name);
        }
    }
    command
}
