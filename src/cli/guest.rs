//! `timerose sandbox-worker`: the process in which guests run. Started by the
//! node, never by people.

use std::path::PathBuf;

use super::exit::Stop;
use crate::sandbox::wasm::worker::{Places, escapes, isolate, serve};

/// Run guests for the node that started this process
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder that it may read
    #[arg(long, value_name = "DIR")]
    read: Vec<PathBuf>,
    /// Folder that it may write to
    #[arg(long, value_name = "DIR")]
    write: Vec<PathBuf>,
    /// Run nothing: say how far it is isolated, and what can be done all the same
    #[arg(long)]
    probe: bool,
    /// Address that the probe tries to reach
    #[arg(long, value_name = "ADDR")]
    reach: Vec<String>,
}

impl Args {
    /// Before any runtime is there: a guest's process is kept small, and some
    /// of what it gives up can be given up only by a single thread.
    pub(super) fn run(self) -> Result<(), Stop> {
        let places = Places {
            read: self.read,
            write: self.write,
        };
        if !self.probe {
            return Ok(serve(&places)?);
        }
        let probe = Probe {
            level: isolate(&places),
            escapes: escapes(&self.reach),
        };
        let text = serde_json::to_string(&probe).map_err(std::io::Error::from)?;
        anstream::println!("{text}");
        Ok(())
    }
}

/// What a probe prints.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Probe {
    /// How far it got.
    pub(crate) level: crate::sandbox::wasm::worker::Level,
    /// What worked that should not.
    pub(crate) escapes: Vec<String>,
}
