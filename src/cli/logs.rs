//! `timerose logs`.

use super::{connect::live, context::Context, exit::Stop};

/// Print what an invocation wrote to standard error
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose logs 01JD…
  timerose logs -f $(timerose invoke wordcount --detach)")]
pub(super) struct Args {
    /// Id of the invocation, or the end of it
    invocation: String,
    /// Print it as it is written, up to the end; Ctrl-C ends only this command
    #[arg(short, long)]
    follow: bool,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let bytes = live(cx).await?.logs(&self.invocation, self.follow).await?;
        cx.out.guest(bytes).await
    }
}
