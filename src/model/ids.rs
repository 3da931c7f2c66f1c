//! Names of things that have no CID: invocations, leases, boots.
//!
//! All are 128 random or time-ordered bits in Crockford base32 (ULID). Never
//! made here: whoever owns the randomness passes the bits in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// The text is no id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind} id: 26 characters of 0-9 and A-Z are due")]
pub struct ParseIdError {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// An id of a time (Unix milliseconds) and 80 random bits.
            #[must_use]
            pub const fn new(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random))
            }

            /// Unix milliseconds at which it was given.
            #[must_use]
            pub const fn unix_ms(&self) -> u64 {
                self.0.timestamp_ms()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Ulid::from_string(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { kind: $kind, text: text.to_owned() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id! {
    /// Names an invocation; given by its owner.
    InvocationId, "invocation"
}
id! {
    /// Names the time-limited right to run one attempt.
    LeaseId, "lease"
}
id! {
    /// Names one start of one sidecar.
    BootId, "boot"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = InvocationId::new(1_700_000_000_000, 42);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn text_that_is_no_id_is_named_in_the_error() {
        let error = "nope".parse::<InvocationId>().unwrap_err();
        assert!(error.to_string().contains("\"nope\" is no invocation id"));
    }
}
