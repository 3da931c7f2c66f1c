//! Quantities as people write them: durations in Go's form, sizes in bytes.
//!
//! Takes and gives text; `30` is refused where a unit is due, since Kubo does
//! the same and silence about it has cost its users an empty answer.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::kubo::{format_go_duration, parse_go_duration};

/// The text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A duration without a unit, or with one that Go has not.
    #[error("{0}")]
    Duration(String),
    /// Not a number of bytes.
    #[error("{0:?} is no size; write it as in 512MiB or 10GiB")]
    Size(String),
}

/// A duration written in Go's form: `500ms`, `1m30s`, `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl Span {
    /// Whole seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse_go_duration(text)
            .map(Self)
            .map_err(|e| Error::Duration(e.to_string()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_go_duration(self.0))
    }
}

impl TryFrom<String> for Span {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// A number of bytes, written `512MiB`, `10GiB`, `1GB` or plainly `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Size(pub u64);

/// A size in a file: text, or a bare number of bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(u64),
}

/// Suffixes, the longer ones first; the first five are what is printed.
const SUFFIXES: [(&str, u64); 13] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
];

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let suffix = SUFFIXES.iter().find(|(name, _)| text.ends_with(name));
        let (number, scale) = suffix
            .and_then(|(name, scale)| Some((text.strip_suffix(name)?, *scale)))
            .unwrap_or((text, 1));
        let number: u64 = number
            .trim()
            .parse()
            .map_err(|_| Error::Size(text.to_owned()))?;
        number
            .checked_mul(scale)
            .map(Self)
            .ok_or_else(|| Error::Size(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SUFFIXES.iter().take(4);
        let exact = binary
            .clone()
            .find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        match exact {
            Some((name, scale)) => write!(f, "{}{name}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<Written> for Size {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Bytes(bytes) => Ok(Self(bytes)),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_refused_with_the_right_form() {
        let error = "30".parse::<Span>().unwrap_err();
        assert!(error.to_string().contains("30s"), "{error}");
    }

    #[test]
    fn durations_and_sizes_read_back_from_their_text() {
        for text in ["500ms", "90s", "2m", "24h"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["10GiB", "512MiB", "7", "1000"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("1m30s".parse(), Ok(Span::secs(90)));
        assert_eq!("1GB".parse(), Ok(Size(1_000_000_000)));
    }
}
