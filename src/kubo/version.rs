//! Kubo's version number, comparable.
//!
//! Takes `0.43.0` or `0.44.0-dev`, gives an order in which a pre-release comes
//! before its release.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A Kubo version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major, minor, patch.
    pub numbers: [u32; 3],
    /// `rc1`, `dev`; empty for a release.
    pub pre: String,
}

impl Version {
    /// The oldest Kubo that is safe beside pubsub and `routing/findprovs`: a
    /// memory exhaustion over pubsub (CVE-2026-46679) and a data race in
    /// look-ups (go-libp2p#3490) are fixed in it.
    pub const FLOOR: Self = Self {
        numbers: [0, 43, 0],
        pre: String::new(),
    };
}

impl FromStr for Version {
    type Err = String;

    /// Reads `0.43.0`, `v0.43.0`, `0.43.0-rc1`, `0.44.0-dev+abc`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("`{text}` is no version");
        let plain = text.trim().trim_start_matches('v');
        let plain = plain
            .split_once('+')
            .map_or(plain, |(version, _build)| version);
        let (numbers, pre) = plain.split_once('-').unwrap_or((plain, ""));
        let parsed: Result<Vec<u32>, _> = numbers.split('.').map(str::parse).collect();
        let numbers = parsed
            .ok()
            .and_then(|list| list.try_into().ok())
            .ok_or_else(refusal)?;
        Ok(Self {
            numbers,
            pre: pre.to_owned(),
        })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.pre.cmp(&other.pre),
        };
        self.numbers.cmp(&other.numbers).then(pre)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if self.pre.is_empty() {
            Ok(())
        } else {
            write!(f, "-{}", self.pre)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_in_order() {
        let order = [
            "0.9.1",
            "0.42.0",
            "0.43.0-rc1",
            "0.43.0",
            "0.43.1",
            "0.44.0-dev",
            "1.0.0",
        ];
        assert!(order.map(version).is_sorted());
        assert_eq!(version("v0.43.0+abc"), Version::FLOOR);
        assert_eq!(version("0.44.0-dev").to_string(), "0.44.0-dev");
    }

    #[test]
    fn nonsense_is_no_version() {
        for text in ["", "0.43", "a.b.c", "0.43.0.1", "-1.0.0"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
