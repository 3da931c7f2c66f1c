//! `timerose shutdown`.

use super::{connect::live, context::Context, exit::Stop};

/// Ask the daemon to end
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose shutdown")]
pub(super) struct Args {}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        live(cx).await?.shutdown().await?;
        Ok(())
    }
}
