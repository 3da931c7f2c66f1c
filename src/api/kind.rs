//! Which failure is which: the one reading of class and code.
//!
//! Takes a [`Failure`], gives a [`Kind`]; exit codes (`cli/exit.rs`) and HTTP
//! statuses (`status.rs`) follow from it.
//!
//! | kind | class | code |
//! |---|---|---|
//! | `Usage` | `user` | begins with `bad_`: the request was wrong before anything ran |
//! | `Function` | `user` | any other |
//! | `NotFound` | `missing` | any |
//! | `Refused` | `refused` | any |
//! | `Unreachable` | `lost` | any |
//! | `Unreachable` | `node` | begins with `kubo_` or `mesh_`, or is `no_daemon` |
//! | `Other` | `node` | any other |
//! | `Deadline`, `Cancelled` | the same | any |

use crate::{compute::Failure, model::Class};

/// What sort of answer a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong.
    Usage,
    /// The function failed.
    Function,
    /// Nobody has it, or nobody knows it.
    NotFound,
    /// Policy or capacity said no.
    Refused,
    /// Mesh, Kubo or daemon cannot be reached.
    Unreachable,
    /// Time ran out.
    Deadline,
    /// Somebody asked for the end.
    Cancelled,
    /// Anything else.
    Other,
}

impl Kind {
    /// Of a failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        let code = failure.code.as_str();
        match failure.class {
            Class::User if code.starts_with("bad_") => Self::Usage,
            Class::User if code == "not_found" => Self::NotFound,
            Class::User => Self::Function,
            Class::Missing => Self::NotFound,
            Class::Refused => Self::Refused,
            Class::Lost => Self::Unreachable,
            Class::Node if is_about_reach(code) => Self::Unreachable,
            Class::Node => Self::Other,
            Class::Deadline => Self::Deadline,
            Class::Cancelled => Self::Cancelled,
        }
    }
}

fn is_about_reach(code: &str) -> bool {
    code == "no_daemon" || code.starts_with("kubo_") || code.starts_with("mesh_")
}
