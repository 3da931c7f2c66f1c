//! `timerose receipt`: what was signed, and whether it holds.

use std::path::PathBuf;

use super::connect::live;
use super::context::Context;
use super::exit::{Stop, file};

/// Show, verify or export the signed receipt of a run
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose receipt show 01JD…
  timerose receipt verify bafy…
  timerose receipt export 01JD… run.car
  timerose receipt verify run.car           needs neither Kubo nor a daemon")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a receipt, with what belongs to it, into a CAR file
    Export {
        /// Id of the invocation, or the receipt's CID
        name: String,
        /// File to write
        file: PathBuf,
    },
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        match self.command {
            Command::Export { name, file: path } => {
                let car = live(cx).await?.receipt_car(&name).await?;
                std::fs::write(&path, car).map_err(|e| file(&path, &e))?;
                cx.out.line(path.display())
            }
        }
    }
}
