//! Fast tests: a fake Kubo over real HTTP.

mod sandbox_faults;
mod sandbox_floods;
mod sandbox_process;
mod sandbox_room;
mod sandbox_runs;
mod sandbox_wordcount;
