//! `timerose sandbox-worker`: the process in which guests run. Started by the
//! node, never by people.

use super::exit::Stop;

/// Run guests for the node that started this process
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    /// Before any runtime is there: a guest's process is kept small.
    pub(super) fn run(&self) -> Result<(), Stop> {
        Ok(crate::sandbox::wasm::worker::serve()?)
    }
}
