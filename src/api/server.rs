//! The listening end: a unix socket, and TCP where it is asked for.
//!
//! Takes addresses, gives bound listeners and then serves them under a
//! [`Tasks`] family until that is cancelled. Never starts without the guard on
//! TCP.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{Router, middleware::from_fn_with_state};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tracing::warn;

use super::{
    Backend,
    guard::{Guard, check},
    router::router,
};
use crate::task::Tasks;

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody answers on the socket.
    #[error("another daemon listens on {0}")]
    Taken(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The TCP address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// As it was asked for.
        address: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Whether it may go by itself: another daemon may end.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Taken(_))
    }
}

/// Bound listeners that do not answer yet.
#[derive(Debug)]
pub struct Server {
    socket: SocketFile,
    unix: UnixListener,
    tcp: Option<(TcpListener, SocketAddr, Guard)>,
}

/// The socket's file, removed when it is dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            warn!(%error, socket.path = %self.0.display(), "could not remove the socket");
        }
    }
}

impl Server {
    /// Binds the unix socket, for its owner alone. What a daemon that was
    /// killed left there is removed.
    ///
    /// # Errors
    /// When somebody listens there already, or the path cannot be bound.
    pub async fn bind(socket: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Socket {
            path: socket.to_owned(),
            source,
        };
        if UnixStream::connect(socket).await.is_ok() {
            return Err(Error::Taken(socket.to_owned()));
        }
        match std::fs::remove_file(socket) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let unix = UnixListener::bind(socket).map_err(failed)?;
        let file = SocketFile(socket.to_owned());
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            socket: file,
            unix,
            tcp: None,
        })
    }

    /// Binds a TCP address as well; who calls there needs the bearer `token`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn listen(mut self, address: &str, token: &str) -> Result<Self, Error> {
        let failed = |source| Error::Tcp {
            address: address.to_owned(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        self.tcp = Some((listener, bound, Guard::new(bound, token)));
        Ok(self)
    }

    /// The unix socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.socket.0
    }

    /// Where it listens: `/unix/…`, then `http://…`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let unix = format!("/unix{}", self.socket.0.display());
        let tcp = self
            .tcp
            .as_ref()
            .map(|(_, address, _)| format!("http://{address}"));
        std::iter::once(unix).chain(tcp).collect()
    }

    /// Answers until `tasks` is cancelled; then takes nothing new and lets
    /// what is open end. The socket's file goes with it.
    pub fn serve<B: Backend>(self, backend: Arc<B>, tasks: &Tasks) {
        let router = router(backend);
        if let Some((listener, _, guard)) = self.tcp {
            let guarded = router
                .clone()
                .layer(from_fn_with_state(Arc::new(guard), check));
            spawn(tasks, "api-tcp", listener, guarded, None);
        }
        spawn(tasks, "api-unix", self.unix, router, Some(self.socket));
    }
}

fn spawn<L>(
    tasks: &Tasks,
    name: &'static str,
    listener: L,
    router: Router,
    file: Option<SocketFile>,
) where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let cancelled = tasks.cancelled().cancelled_owned();
    tasks.spawn_to_end(name, async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(cancelled)
            .await;
        if let Err(error) = served {
            warn!(%error, "the API ended");
        }
        drop(file);
    });
}
