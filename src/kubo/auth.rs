//! The secret of an entry of Kubo's `API.Authorizations`.
//!
//! Takes `bearer:TOKEN` or `basic:USER:PASSWORD`, gives the value of the
//! `Authorization` header. Never shows the secret.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;

use super::Error;

/// A secret for Kubo's RPC. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth(HeaderValue);

impl Auth {
    pub(super) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for Auth {
    type Err = Error;

    /// Reads the form of `AuthSecret`; a `basic:` secret without a second
    /// colon is taken as already encoded, as Kubo does.
    fn from_str(secret: &str) -> Result<Self, Error> {
        let text = match secret.split_once(':') {
            Some(("bearer", token)) if !token.is_empty() => format!("Bearer {token}"),
            Some(("basic", pair)) if pair.contains(':') => {
                format!("Basic {}", STANDARD.encode(pair))
            }
            Some(("basic", encoded)) if !encoded.is_empty() => format!("Basic {encoded}"),
            _ => return Err(Error::BadAuth),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| Error::BadAuth)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_become_headers() {
        let header = |text: &str| text.parse::<Auth>().unwrap().header().clone();
        assert_eq!(header("bearer:abc"), "Bearer abc");
        assert_eq!(header("basic:user:pass"), "Basic dXNlcjpwYXNz");
        assert_eq!(header("basic:dXNlcjpwYXNz"), "Basic dXNlcjpwYXNz");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let auth: Auth = "bearer:abc".parse().unwrap();
        assert!(!format!("{auth:?} {:?}", auth.header()).contains("abc"));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "abc", "bearer:", "basic:", "digest:x", "bearer:a\nb"] {
            assert!(text.parse::<Auth>().is_err(), "{text:?}");
        }
    }
}
