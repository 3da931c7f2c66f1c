//! Durations in Go's text form, the only one that Kubo and its users know.
//!
//! Takes and gives text such as `500ms` or `1m30s`
//! (<https://pkg.go.dev/time#ParseDuration>). Never accepts a bare number: over
//! RPC Kubo answers `timeout=30` with 200 and an empty body.

use std::time::Duration;

use super::Error;

/// Units, longest name first where one is the beginning of another.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads a duration in Go's form: `500ms`, `30s`, `1m30s`, `2h`, `1.5s`, `0`.
///
/// # Errors
/// [`Error::BadDuration`] names the right form for a missing or unknown unit,
/// a sign, or a value that does not fit.
pub fn parse_go_duration(text: &str) -> Result<Duration, Error> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let (part, tail) = parse_part(rest).ok_or_else(|| refusal(text))?;
        nanos += part;
        rest = tail;
    }
    // Go's durations are signed 64-bit nanoseconds.
    if text.is_empty() || nanos > i64::MAX as f64 {
        return Err(refusal(text));
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// One number with its unit, in nanoseconds, and what follows it.
fn parse_part(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let (unit, tail) = split_unit(rest)?;
    Some((number * unit, tail))
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(text.len());
    let (name, tail) = text.split_at(end);
    UNITS
        .iter()
        .find(|(unit, _)| *unit == name)
        .map(|(_, nanos)| (*nanos, tail))
}

fn refusal(text: &str) -> Error {
    let bare = !text.is_empty() && text.parse::<f64>().is_ok_and(|number| number >= 0.0);
    let form = if bare {
        format!("{text}s")
    } else {
        "30s".to_owned()
    };
    Error::BadDuration {
        text: text.to_owned(),
        form,
    }
}

/// Writes a duration as Go reads it: exact to the nanosecond, shortest whole
/// unit that fits (`90s`, `1500ms`, `2h`).
#[must_use]
pub fn format_go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos().min(i64::MAX as u128);
    let units: [(u128, &str); 6] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fitting = units.iter().find(|(size, _)| nanos.is_multiple_of(*size));
    fitting.map_or_else(
        || format!("{nanos}ns"),
        |(size, unit)| format!("{}{unit}", nanos / size),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_of_go_is_read() {
        let read = |text| parse_go_duration(text).unwrap();
        assert_eq!(read("500ms"), Duration::from_millis(500));
        assert_eq!(read("1m30s"), Duration::from_secs(90));
        assert_eq!(read("2h"), Duration::from_secs(7200));
        assert_eq!(read("1.5s"), Duration::from_millis(1500));
        assert_eq!(read("7us"), Duration::from_micros(7));
        assert_eq!(read("7µs"), Duration::from_micros(7));
        assert_eq!(read("9ns"), Duration::from_nanos(9));
        assert_eq!(read("0"), Duration::ZERO);
    }

    #[test]
    fn a_bare_number_is_refused_with_the_right_form() {
        let error = parse_go_duration("30").unwrap_err();
        assert!(error.to_string().contains("30s"), "{error}");
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "s",
            "3d",
            "-1s",
            "1 s",
            "1s2",
            "1..5s",
            "99999999h",
            "NaN",
            "inf",
        ] {
            assert!(parse_go_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_go_duration(&format_go_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,20}") {
            let _outcome = parse_go_duration(&text);
        }
    }
}
