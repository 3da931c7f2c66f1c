//! Runs the command line, ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    timerose::cli::main()
}
