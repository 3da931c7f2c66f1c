//! `timerose gc`.

use super::{connect::live, context::Context, exit::Stop, storage::freed};

/// Remove results that are beyond their time or bounds
///
/// The daemon does so by itself; this does it now. Deployed functions stay. Kubo gives the room
/// back at its own `ipfs repo gc`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose gc --dry-run
  timerose gc")]
pub(super) struct Args {
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let done = live(cx).await?.gc(self.dry_run).await?;
        cx.out.show(&done, freed)
    }
}
