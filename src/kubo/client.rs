//! The handle on one Kubo.
//!
//! Takes a [`Config`], gives a [`Client`] whose calls are defined in the files
//! beside this one. Follows Kubo to a new address; opens no connection before
//! the first call.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, TE};

use super::{Address, Auth, Endpoint, Error};

/// How long a connection may take to open. Kubo is on this machine or near it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept; shorter than any server's patience,
/// so that a pooled one is rarely found closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// How to reach one Kubo.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// A secret of its `API.Authorizations`.
    pub auth: Option<Auth>,
    /// Limit of a call that transfers no content.
    pub timeout: Duration,
    /// `User-Agent`; must not contain `/kubo/` or `/go-ipfs/`.
    pub user_agent: String,
}

impl Config {
    /// No secret, ten seconds per call.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        let user_agent = concat!("timerose/", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            endpoint,
            auth: None,
            timeout: Duration::from_secs(10),
            user_agent,
        }
    }
}

/// A client of one Kubo's RPC. Cheap to clone; clones share connections and
/// follow Kubo to a new address together.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    connection: RwLock<Connection>,
}

/// Connections to one address.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub endpoint: Endpoint,
    pub http: reqwest::Client,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BadEndpoint`] if no HTTP client can be built for the address.
    pub fn new(config: Config) -> Result<Self, Error> {
        let connection = Connection::new(&config, config.endpoint.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                connection: RwLock::new(connection),
            }),
        })
    }

    /// Where Kubo was last found.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.connection().endpoint
    }

    /// Reads the api file again and follows it; gives whether the address
    /// changed. Calls do this by themselves when a connection is refused.
    ///
    /// # Errors
    /// [`Error::BadEndpoint`] for an api file that cannot be used.
    pub fn refresh_endpoint(&self) -> Result<bool, Error> {
        let known = self.endpoint();
        let found = known.reread()?;
        if found == known {
            return Ok(false);
        }
        self.connect_to(found)?;
        Ok(true)
    }

    /// Closes the connections that are idle; requests under way go on. A pool
    /// at times opens a connection that then carries nothing, and for such a one
    /// the shutdown of Kubo's server (Go's `http.Server.Shutdown`) waits 5 s.
    ///
    /// # Errors
    /// [`Error::BadEndpoint`].
    pub fn close_idle(&self) -> Result<(), Error> {
        self.connect_to(self.endpoint())
    }

    /// Speaks over new connections to `endpoint` from now on.
    fn connect_to(&self, endpoint: Endpoint) -> Result<(), Error> {
        let connection = Connection::new(&self.inner.config, endpoint)?;
        *self
            .inner
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner) = connection;
        Ok(())
    }

    pub(super) fn connection(&self) -> Connection {
        self.inner
            .connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.inner.config.timeout
    }
}

impl Connection {
    fn new(config: &Config, endpoint: Endpoint) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        // Servers stricter than Kubo's leave trailers out unless they are asked for.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(auth) = &config.auth {
            headers.insert(AUTHORIZATION, auth.header().clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .no_proxy();
        if let Some(Address::Unix(path)) = endpoint.address() {
            builder = builder.unix_socket(path.as_path());
        }
        let http = builder.build().map_err(|error| Error::BadEndpoint {
            text: endpoint.to_string(),
            reason: error.to_string(),
        })?;
        Ok(Self { endpoint, http })
    }

    /// `http://host/api/v0/`, or nothing while there is no address.
    pub(super) fn base(&self) -> Option<String> {
        match self.endpoint.address()? {
            Address::Tcp(host) => Some(format!("http://{host}/api/v0/")),
            Address::Unix(_) => Some("http://localhost/api/v0/".to_owned()),
        }
    }
}
