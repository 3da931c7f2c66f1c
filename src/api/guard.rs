//! Who may pass the TCP door: bearer token, Host, Origin.
//!
//! Takes a request's head, gives yes or the reason. A page in a browser can
//! send requests to loopback addresses, also under a name it rebinds; so the
//! Host must be one of ours, and an Origin, if there is one, the same host.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN},
    },
    middleware::Next,
    response::Response,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::status::answer;
use crate::{compute::Failure, model::Class};

/// What one TCP listener asks for.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Vec<String>,
    /// Hashed, so that comparing takes the same time for every length.
    token: [u8; 32],
}

impl Guard {
    /// Of a listener at `address` with the bearer `token`.
    pub(super) fn new(address: SocketAddr, token: &str) -> Self {
        let port = address.port();
        let mut hosts: Vec<String> = ["127.0.0.1", "localhost", "[::1]"]
            .map(|name| format!("{name}:{port}"))
            .into();
        hosts.push(address.to_string());
        Self {
            hosts,
            token: Sha256::digest(token).into(),
        }
    }

    /// Why the request may not pass, if it may not.
    fn objection(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str, String)> {
        let host = text(headers, &HOST).unwrap_or_default();
        if !self.hosts.iter().any(|known| known == host) {
            let problem = format!("host {host:?} is not this daemon");
            return Some((StatusCode::FORBIDDEN, "foreign_host", problem));
        }
        let same = |origin: &str| origin.strip_prefix("http://") == Some(host);
        if headers.contains_key(ORIGIN) && !text(headers, &ORIGIN).is_some_and(same) {
            let problem = "a page of another origin may not call this daemon".to_owned();
            return Some((StatusCode::FORBIDDEN, "foreign_origin", problem));
        }
        let given = text(headers, &AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        let given: [u8; 32] = Sha256::digest(given.unwrap_or_default()).into();
        if !bool::from(given.ct_eq(&self.token)) {
            let problem = "the bearer token is missing or wrong".to_owned();
            return Some((StatusCode::UNAUTHORIZED, "bad_token", problem));
        }
        None
    }
}

/// The middleware in front of the router of a TCP listener.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.objection(request.headers()) {
        None => next.run(request).await,
        Some((status, code, problem)) => {
            let failure = Failure::new(Class::Refused, code, problem)
                .with_hint("Send `Authorization: Bearer …` with the daemon's `token` file.");
            answer(status, &failure)
        }
    }
}

/// The header's one value; two values count as none.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &str, origin: Option<&str>, authorization: Option<&str>) -> Option<u16> {
        let guard = Guard::new("127.0.0.1:4000".parse().unwrap(), "secret");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        guard
            .objection(&headers)
            .map(|(status, ..)| status.as_u16())
    }

    const RIGHT: Option<&str> = Some("Bearer secret");

    #[test]
    fn only_our_own_names_are_hosts() {
        for host in ["127.0.0.1:4000", "localhost:4000", "[::1]:4000"] {
            assert_eq!(verdict(host, None, RIGHT), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:4000",
            "127.0.0.1",
            "localhost:4001",
            "",
        ] {
            assert_eq!(verdict(host, None, RIGHT), Some(403), "{host}");
        }
    }

    #[test]
    fn an_origin_is_absent_or_the_same_host() {
        let host = "localhost:4000";
        assert_eq!(verdict(host, Some("http://localhost:4000"), RIGHT), None);
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:4000",
            "https://localhost:4000",
        ] {
            assert_eq!(verdict(host, Some(origin), RIGHT), Some(403), "{origin}");
        }
    }

    #[test]
    fn the_token_is_asked_for_whatever_the_host_says() {
        let host = "127.0.0.1:4000";
        for token in [
            None,
            Some(""),
            Some("Bearer "),
            Some("Bearer secre"),
            Some("Basic secret"),
            Some("secret"),
        ] {
            assert_eq!(verdict(host, None, token), Some(401), "{token:?}");
        }
    }
}
