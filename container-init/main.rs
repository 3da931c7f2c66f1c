//! What this project starts inside a container: a static program of its own,
//! built by `build.rs` without any crate and carried inside `timerose`.
//!
//! `lambda [COMMAND…]` gives a Lambda runtime its API and runs it, or the
//! bootstrap of the image; ends with its exit code.
//!
//! `canary KEY=VALUE…` looks at the container from inside and says which of the
//! promised limits do not hold, one line each; the last line is `held N`. Never
//! changes anything but files in `/tmp` and `/out`.

mod canary;
mod lambda;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("canary") => canary::run(arguments),
        Some("lambda") => lambda::run(arguments.collect()),
        _ => {
            eprintln!("started by timerose, never by people");
            ExitCode::from(2)
        }
    }
}
