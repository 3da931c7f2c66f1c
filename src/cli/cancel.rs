//! `timerose cancel`.

use super::{connect::live, context::Context, exit::Stop};
use crate::compute::Record;

/// End an invocation
///
/// Whatever runs for it is stopped. An invocation that ended already stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose cancel 01JD…
  timerose ps -q | xargs -n1 timerose cancel")]
pub(super) struct Args {
    /// Id of the invocation, or the end of it
    invocation: String,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let record = live(cx).await?.cancel(&self.invocation).await?;
        cx.out.show(&record, text)
    }
}

fn text(record: &Record) -> String {
    format!("{} {}", record.invocation, record.state)
}
