//! `timerose rm`.

use super::{connect::live, context::Context, exit::Stop};

/// Forget a deployed function
///
/// Its manifest and code are no longer pinned here. Results and receipts stay as long as they
/// would have.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose rm wordcount
  timerose rm bafy…")]
pub(super) struct Args {
    /// CID or name
    function: String,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let removed = live(cx).await?.remove_function(&self.function).await?;
        cx.out.show(&removed, |r| r.function.clone())
    }
}
