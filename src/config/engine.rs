//! From the settings to the places where a container engine may listen.

use std::path::{Path, PathBuf};

use super::Docker;

/// Where engines listen when nothing else was said.
const DEFAULTS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// The same below `$XDG_RUNTIME_DIR`, for engines without root.
const OWN: [&str; 2] = ["docker.sock", "podman/podman.sock"];

impl Docker {
    /// The sockets to try, in order; none where containers are off.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        match (self.enabled, &self.socket) {
            (false, _) => Vec::new(),
            (true, Some(socket)) => vec![socket.clone()],
            (true, None) => default_sockets(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "config reads the environment")]
fn default_sockets() -> Vec<PathBuf> {
    let named = std::env::var("DOCKER_HOST").unwrap_or_default();
    let named = named.strip_prefix("unix://").map(PathBuf::from);
    let own = std::env::var_os("XDG_RUNTIME_DIR");
    let own = own
        .iter()
        .flat_map(|dir| OWN.map(|name| Path::new(dir).join(name)));
    named
        .into_iter()
        .chain(own)
        .chain(DEFAULTS.map(PathBuf::from))
        .collect()
}
