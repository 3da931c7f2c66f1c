//! The container engine: where it is, and what it says of itself.
//!
//! Takes places to look at, gives a connection that answered. Knows Docker and
//! Podman by the one interface that both have.

use std::path::{Path, PathBuf};

use bollard::{
    API_DEFAULT_VERSION, Docker, errors::Error as Failed,
    query_parameters::ListContainersOptionsBuilder,
};

use super::{container, settings::HOME_LABEL};
use crate::sandbox::Error;

/// Seconds until an answer of the engine begins.
const TIMEOUT_SECONDS: u64 = 60;
/// A runtime with a kernel of its own, used where the engine has it.
const GVISOR: &str = "runsc";

/// An engine that answers.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    /// `docker-20.10.24`, `podman-4.3.1`.
    pub(super) version: String,
    /// Where it listens.
    pub(super) place: String,
    /// Its runtime to use, where that is not its default one.
    pub(super) runtime: Option<String>,
    /// Root in a container is somebody else outside.
    pub(super) has_user_namespaces: bool,
}

impl Engine {
    /// The first of `sockets` at which an engine answers.
    ///
    /// # Errors
    /// For people: why there is none.
    pub(super) async fn find(sockets: &[PathBuf]) -> Result<Self, String> {
        let mut problems = Vec::new();
        for socket in sockets.iter().filter(|socket| socket.exists()) {
            match Self::at(socket).await {
                Ok(engine) => return Ok(engine),
                Err(error) => problems.push(format!("{}: {error}", socket.display())),
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let places = sockets.iter().map(|socket| socket.display().to_string());
        let places: Vec<_> = places.collect();
        Err(format!("there is no engine at {}", places.join(", ")))
    }

    async fn at(socket: &Path) -> Result<Self, Failed> {
        let path = socket.display().to_string();
        let docker = Docker::connect_with_unix(&path, TIMEOUT_SECONDS, API_DEFAULT_VERSION)?;
        let docker = docker.negotiate_version().await?;
        let info = docker.info().await?;
        let version = docker.version().await?;
        let is_podman = version.components.unwrap_or_default();
        let is_podman = is_podman.iter().any(|part| part.name.starts_with("Podman"));
        let kind = if is_podman { "podman" } else { "docker" };
        let number = version.version.unwrap_or_default();
        let options = info.security_options.unwrap_or_default();
        let runtimes = info.runtimes.unwrap_or_default();
        Ok(Self {
            docker,
            version: format!("{kind}-{number}"),
            place: path,
            runtime: runtimes.contains_key(GVISOR).then(|| GVISOR.to_owned()),
            has_user_namespaces: options.iter().any(|one| one.contains("name=userns")),
        })
    }

    /// Removes every container that `home` made, at a start, when none of them
    /// can be in use; gives how many there were.
    pub(super) async fn reap(&self, home: &str) -> Result<usize, Error> {
        let label = format!("{HOME_LABEL}={home}");
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let left = self.docker.list_containers(Some(options)).await;
        let left = left.map_err(failed)?;
        let names = left.iter().filter_map(|one| one.id.as_deref());
        for name in names.clone() {
            container::remove(&self.docker, name)
                .await
                .map_err(failed)?;
        }
        Ok(names.count())
    }

    /// Whether it has an image of this name.
    pub(super) async fn has(&self, image: &str) -> bool {
        self.docker.inspect_image(image).await.is_ok()
    }
}

/// What a failed request means for an attempt.
pub(super) fn failed(error: Failed) -> Error {
    match error {
        Failed::DockerResponseServerError { message, .. } => Error::Engine(message),
        other => Error::Engine(other.to_string()),
    }
}
