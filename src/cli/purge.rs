//! `timerose purge`.

use super::{connect::live, context::Context, exit::Stop, storage::freed};

/// Remove everything that TimeRose wrote, deployed functions included
///
/// Touches only pins named timerose/… and TimeRose's own home; nothing that you pinned yourself.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose purge --dry-run
  timerose purge")]
pub(super) struct Args {
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let done = live(cx).await?.purge(self.dry_run).await?;
        cx.out.show(&done, freed)
    }
}
