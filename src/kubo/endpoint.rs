//! Where Kubo's RPC listens, and which file says so.
//!
//! Takes a multiaddr, a URL, or the places that `ipfs` looks at; gives an
//! [`Endpoint`] that can be read anew after Kubo restarted on another port.
//! Never reads the environment: the caller hands it in.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    str::FromStr,
};

use super::Error;

/// Where Kubo listens when nothing says otherwise.
const DEFAULT_ADDRESS: &str = "/ip4/127.0.0.1/tcp/5001";

/// A listener of Kubo's RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `host:port`, the host in the form of a URL.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// Kubo's address and, if it came from one, its api file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: Option<Address>,
    file: Option<PathBuf>,
    /// Whether the address was read from `file`.
    named_by_file: bool,
}

impl Endpoint {
    /// Finds Kubo as `ipfs` does: `explicit` (`--api`), then `api` in
    /// `ipfs_path` (`$IPFS_PATH`) or else in `home/.ipfs`, then
    /// `/ip4/127.0.0.1/tcp/5001`.
    ///
    /// With `ipfs_path` given and no api file in it the endpoint has no address
    /// yet: that repository's daemon is down, and the one on the default port
    /// is somebody else's.
    ///
    /// # Errors
    /// [`Error::BadEndpoint`] for an address or api file that cannot be used.
    pub fn discover(
        explicit: Option<&str>,
        ipfs_path: Option<&Path>,
        home: Option<&Path>,
    ) -> Result<Self, Error> {
        if let Some(text) = explicit {
            return text.parse();
        }
        let file = match (ipfs_path, home) {
            (Some(repo), _) => Some(repo.join("api")),
            (None, Some(home)) => Some(home.join(".ipfs").join("api")),
            (None, None) => None,
        };
        let found = file.as_deref().map(read_file).transpose()?.flatten();
        let named_by_file = found.is_some();
        let address = match (found, ipfs_path) {
            (None, None) => Some(DEFAULT_ADDRESS.parse()?),
            (found, _) => found,
        };
        Ok(Self {
            address,
            file,
            named_by_file,
        })
    }

    /// Whether Kubo shares this machine's loopback, as far as its address tells.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        match &self.address {
            None | Some(Address::Unix(_)) => true,
            Some(Address::Tcp(host)) => ["127.", "localhost:", "[::1]"]
                .iter()
                .any(|own| host.starts_with(own)),
        }
    }

    /// The address, or nothing while the api file is absent.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// The api file that names the address and vanishes when Kubo stops.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether the address was read from [`Self::file`], so that Kubo is gone
    /// once the file is.
    #[must_use]
    pub fn is_named_by_file(&self) -> bool {
        self.named_by_file
    }

    /// The endpoint that the api file names now; unchanged without a file, or
    /// while it is absent.
    ///
    /// # Errors
    /// [`Error::BadEndpoint`] for an api file that cannot be used.
    pub fn reread(&self) -> Result<Self, Error> {
        let found = self.file.as_deref().map(read_file).transpose()?.flatten();
        Ok(found.map_or_else(
            || self.clone(),
            |address| Self {
                address: Some(address),
                file: self.file.clone(),
                named_by_file: true,
            },
        ))
    }
}

/// The address in an api file; nothing if there is no such file.
fn read_file(path: &Path) -> Result<Option<Address>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => text.trim().parse().map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refusal(&path.display().to_string(), error)),
    }
}

fn refusal(text: &str, reason: impl fmt::Display) -> Error {
    Error::BadEndpoint {
        text: text.to_owned(),
        reason: reason.to_string(),
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self {
            address: Some(address),
            file: None,
            named_by_file: false,
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads a multiaddr or a URL.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(|address: Address| address.into())
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `/ip4|ip6|dns|dns4|dns6/…/tcp/N[/http]`, `/unix/path`, or
    /// `http://host:port`. HTTPS is refused: this build has no TLS.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with('/') {
            from_multiaddr(text)
        } else {
            from_url(text)
        }
    }
}

fn from_multiaddr(text: &str) -> Result<Address, Error> {
    if let Some(path) = text.strip_prefix("/unix/") {
        let path = path.trim_start_matches('/');
        return match path {
            "" => Err(refusal(text, "the path of the socket is missing")),
            path => Ok(Address::Unix(Path::new("/").join(path))),
        };
    }
    let parts: Vec<&str> = text.trim_end_matches('/').split('/').skip(1).collect();
    let [kind, host, "tcp", port, suffix @ ..] = parts.as_slice() else {
        return Err(refusal(
            text,
            "not of the form /ip4/…/tcp/PORT or /unix/PATH",
        ));
    };
    check_suffix(text, suffix)?;
    let host = host_of(kind, host).ok_or_else(|| refusal(text, "the host is malformed"))?;
    let port: u16 = port
        .parse()
        .map_err(|_| refusal(text, "the port is no number"))?;
    Ok(Address::Tcp(format!("{host}:{port}")))
}

fn check_suffix(text: &str, suffix: &[&str]) -> Result<(), Error> {
    match suffix {
        [] | ["http"] => Ok(()),
        ["https"] | ["tls", "http"] => Err(refusal(text, NO_TLS)),
        _ => Err(refusal(text, "what follows the port is not understood")),
    }
}

const NO_TLS: &str = "HTTPS is not supported; use loopback, a unix socket or a tunnel";

/// The host as a URL has it; unspecified addresses become loopback.
fn host_of(kind: &str, host: &str) -> Option<String> {
    match kind {
        "ip4" => {
            let ip: Ipv4Addr = host.parse().ok()?;
            Some(
                if ip.is_unspecified() {
                    Ipv4Addr::LOCALHOST
                } else {
                    ip
                }
                .to_string(),
            )
        }
        "ip6" => {
            let ip: Ipv6Addr = host.parse().ok()?;
            Some(format!(
                "[{}]",
                if ip.is_unspecified() {
                    Ipv6Addr::LOCALHOST
                } else {
                    ip
                }
            ))
        }
        "dns" | "dns4" | "dns6" => is_host_name(host).then(|| host.to_owned()),
        _ => None,
    }
}

fn is_host_name(host: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !host.is_empty() && host.chars().all(fits)
}

fn from_url(text: &str) -> Result<Address, Error> {
    let url = reqwest::Url::parse(text).map_err(|error| refusal(text, error))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(refusal(text, NO_TLS)),
        _ => return Err(refusal(text, "not a multiaddr and not an http URL")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refusal(text, "a secret does not belong into an address"));
    }
    if !matches!(url.path(), "" | "/" | "/api/v0" | "/api/v0/") || url.query().is_some() {
        return Err(refusal(text, "only host and port are allowed"));
    }
    let host = url
        .host_str()
        .ok_or_else(|| refusal(text, "the host is missing"))?;
    Ok(Address::Tcp(format!(
        "{host}:{}",
        url.port_or_known_default().unwrap_or(80)
    )))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "http://{host}"),
            Self::Unix(path) => write!(f, "/unix{}", path.display()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, &self.file) {
            (Some(address), _) => address.fmt(f),
            (None, Some(file)) => file.display().fmt(f),
            (None, None) => f.write_str("no address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.to_owned())
    }

    #[test]
    fn multiaddrs_and_urls_are_read() {
        let read = |text: &str| text.parse::<Address>().unwrap();
        assert_eq!(read("/ip4/127.0.0.1/tcp/5001"), tcp("127.0.0.1:5001"));
        assert_eq!(read("/ip4/0.0.0.0/tcp/5001/http"), tcp("127.0.0.1:5001"));
        assert_eq!(read("/ip6/::1/tcp/5001"), tcp("[::1]:5001"));
        assert_eq!(read("/dns4/kubo/tcp/5001"), tcp("kubo:5001"));
        assert_eq!(read("http://kubo:5001/"), tcp("kubo:5001"));
        assert_eq!(read("http://[::1]:5001/api/v0"), tcp("[::1]:5001"));
        assert_eq!(
            read("/unix/run/kubo.sock"),
            Address::Unix("/run/kubo.sock".into())
        );
        assert_eq!(
            read("/unix//run/kubo.sock"),
            Address::Unix("/run/kubo.sock".into())
        );
    }

    #[test]
    fn https_is_refused_with_its_reason() {
        for text in [
            "https://kubo",
            "/dns/kubo/tcp/443/https",
            "/dns/kubo/tcp/443/tls/http",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(
                error.to_string().contains("HTTPS is not supported"),
                "{error}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "/",
            "/ip4/1/tcp/1",
            "/ip4/127.0.0.1/udp/1",
            "/ip4/127.0.0.1/tcp/99999",
            "/unix/",
            "localhost:5001",
            "ftp://x",
            "http://u:p@host",
            "http://host/else",
            "/dns/a b/tcp/1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_order_is_flag_repository_home_default() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir_all(dir.path().join(".ipfs")).unwrap();
        std::fs::create_dir(&repo).unwrap();
        let find =
            |flag, repo: Option<&Path>| Endpoint::discover(flag, repo, Some(dir.path())).unwrap();
        assert_eq!(find(None, None).address(), Some(&tcp("127.0.0.1:5001")));
        std::fs::write(dir.path().join(".ipfs/api"), "/ip4/127.0.0.1/tcp/1").unwrap();
        assert_eq!(find(None, None).address(), Some(&tcp("127.0.0.1:1")));
        assert_eq!(find(None, Some(&repo)).address(), None);
        std::fs::write(repo.join("api"), "/ip4/127.0.0.1/tcp/2\n").unwrap();
        assert_eq!(find(None, Some(&repo)).address(), Some(&tcp("127.0.0.1:2")));
        assert_eq!(find(Some("/ip4/127.0.0.1/tcp/3"), Some(&repo)).file(), None);
    }

    #[test]
    fn a_restart_on_another_port_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::discover(None, Some(dir.path()), None).unwrap();
        assert_eq!(endpoint.address(), None);
        std::fs::write(dir.path().join("api"), "/ip4/127.0.0.1/tcp/7").unwrap();
        let endpoint = endpoint.reread().unwrap();
        assert_eq!(endpoint.address(), Some(&tcp("127.0.0.1:7")));
        std::fs::remove_file(dir.path().join("api")).unwrap();
        assert_eq!(
            endpoint.reread().unwrap(),
            endpoint,
            "an absent file is no other address"
        );
    }
}
