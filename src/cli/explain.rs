//! `timerose explain`.

use super::{candidates, connect::live, context::Context, exit::Stop};

/// Show why an invocation ran where it did
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose explain 01JD…
  timerose explain 01JD… --enc=json")]
pub(super) struct Args {
    /// Id of the invocation, or the end of it
    invocation: String,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let explanation = live(cx).await?.explain(&self.invocation).await?;
        cx.out.show(&explanation, candidates::show)
    }
}
