//! Fast tests: a fake Kubo over real HTTP.

mod tidy;
