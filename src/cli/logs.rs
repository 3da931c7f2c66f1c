//! `timerose logs`.

use super::{connect::live, context::Context, exit::Stop};

/// Print what an invocation wrote to standard error
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose logs 01JD…")]
pub(super) struct Args {
    /// Id of the invocation, or the end of it
    invocation: String,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let bytes = live(cx).await?.logs(&self.invocation).await?;
        cx.out.copy(bytes).await
    }
}
