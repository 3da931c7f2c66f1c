//! How a command ends: the one place that maps failures to exit codes.

use std::io;

use crate::{api::Kind, compute::Failure, model::Class};

/// The table in every `--help`.
pub(super) const TABLE: &str = "\
EXIT CODES
  0 ok, 1 other, 2 usage, 3 the function failed, 4 not found, 5 refused,
  6 mesh or Kubo unreachable, 62 deadline, 125 cancelled";

/// Wrong usage.
pub(super) const USAGE: u8 = 2;

/// Cancelled, also by Ctrl-C.
pub(super) const CANCELLED: u8 = 125;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It failed, and says why.
    Failure(Failure),
    /// Whoever read its output has enough: success.
    Pipe,
    /// It has said everything already.
    Code(u8),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<super::dev::Error> for Stop {
    fn from(error: super::dev::Error) -> Self {
        let failure = Failure::new(Class::Node, "dev", error.to_string());
        Self::Failure(match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        })
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Pipe;
        }
        Self::Failure(Failure::new(Class::Node, "io", error.to_string()))
    }
}

/// The exit code of a failure.
pub(super) fn code(failure: &Failure) -> u8 {
    match Kind::of(failure) {
        Kind::Other => 1,
        Kind::Usage => USAGE,
        Kind::Function => 3,
        Kind::NotFound => 4,
        Kind::Refused => 5,
        Kind::Unreachable => 6,
        Kind::Deadline => 62,
        Kind::Cancelled => CANCELLED,
    }
}

/// The failure of a request that is wrong before anything is asked of a node.
pub(super) fn bad(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(Class::User, code, message)
}

/// The failure of a file of this machine.
pub(super) fn file(path: &std::path::Path, error: &io::Error) -> Failure {
    let (class, code) = match error.kind() {
        io::ErrorKind::NotFound => (Class::Missing, "no_such_file"),
        _ => (Class::Node, "io"),
    };
    Failure::new(
        class,
        code,
        format!("{}: {}", path.display(), reason(error)),
    )
}

/// The error without the operating system's number.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return "no such file or folder".to_owned();
    }
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_the_exit_code_of_the_design() {
        let codes = [
            (Class::User, "user", 3),
            (Class::User, "bad_cid", 2),
            (Class::Node, "sandbox", 1),
            (Class::Node, "kubo_unreachable", 6),
            (Class::Node, "no_daemon", 6),
            (Class::Missing, "not_found", 4),
            (Class::Lost, "lost", 6),
            (Class::Refused, "policy", 5),
            (Class::Deadline, "deadline", 62),
            (Class::Cancelled, "cancelled", 125),
        ];
        for (class, word, wanted) in codes {
            assert_eq!(
                code(&Failure::new(class, word, "")),
                wanted,
                "{class:?} {word}"
            );
        }
    }

    #[test]
    fn a_reader_that_has_enough_is_success() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Stop::from(pipe), Stop::Pipe));
    }
}
