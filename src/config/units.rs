//! Quantities as people write them: durations in Go's form, sizes in bytes.
//!
//! Takes and gives text; `30` is refused where a unit is due, since Kubo does
//! the same and silence about it has cost its users an empty answer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A duration without a unit, or with one that Go has not.
    #[error("{text:?} is no duration: {reason}; write it as in {example}")]
    Duration {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
        /// The likely meaning.
        example: String,
    },
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

/// Nanoseconds of each of Go's units.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |reason| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let example = if digits.is_empty() { "30s".to_owned() } else { format!("{digits}s") };
            Error::Duration { text: text.to_owned(), reason, example }
        };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut nanos = 0_f64;
        while !rest.is_empty() {
            let (number, tail) = split(rest, |c| c.is_ascii_digit() || c == '.');
            let (unit, tail) = split(tail, |c| !c.is_ascii_digit() && c != '.');
            let number: f64 = number.parse().map_err(|_| error("a number is missing"))?;
            if unit.is_empty() {
                return Err(error("its unit is missing"));
            }
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            let (_, scale) = known.ok_or_else(|| error("its unit is none of ns us ms s m h"))?;
            #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
            let scale = *scale as f64;
            nanos += number * scale;
            rest = tail;
        }
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        Duration::try_from_secs_f64(nanos / 1e9).map(Self).map_err(|_| error("it is too long"))
    }
}

/// Splits `text` where `keep` first fails.
fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at(end)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            m if m % 3_600_000 == 0 => write!(f, "{}h", m / 3_600_000),
            m if m % 60_000 == 0 => write!(f, "{}m", m / 60_000),
            m if m % 1_000 == 0 => write!(f, "{}s", m / 1_000),
            m => write!(f, "{m}ms"),
        }
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
        let number: u64 = number.trim().parse().map_err(|_| Error::Size(text.to_owned()))?;
        number.checked_mul(scale).map(Self).ok_or_else(|| Error::Size(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SUFFIXES.iter().take(4);
        let exact = binary.clone().find(|(_, scale)| self.0 > 0 && self.0 % scale == 0);
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
        assert_eq!(
            error.to_string(),
            r#""30" is no duration: its unit is missing; write it as in 30s"#
        );
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

    #[test]
    fn what_go_does_not_know_is_refused() {
        for text in ["", "7d", "s", "1.2.3s", "-1s", "1 s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
