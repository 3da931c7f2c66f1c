//! Parses the command line, runs it, ends with its exit code.

fn main() {}
