//! `timerose schedule`.

use super::{
    call::Call,
    candidates,
    connect::{Connection, connect},
    context::Context,
    exit::Stop,
};
use crate::compute::{Explanation, Failure};

/// Show where a function would run
///
/// Asks the same nodes in the same way as invoke and prints every candidate with the terms of its
/// predicted time, or the reason why it may not run this. Nothing runs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose schedule wordcount bafy…
  timerose schedule wordcount bafy… --enc=json | jq -r .chosen
  PEER=$(timerose schedule -q wordcount bafy…)")]
pub(super) struct Args {
    #[command(flatten)]
    call: Call,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        self.call.check()?;
        let progress = cx.out.progress();
        progress.say("asking the nodes");
        let node = connect(cx).await?;
        let explanation = self.schedule(cx, &node).await;
        node.close().await;
        drop(progress);
        let explanation = explanation?;
        if cx.out.is_quiet() && !cx.out.is_json() {
            return cx
                .out
                .line(explanation.chosen.as_deref().unwrap_or_default());
        }
        cx.out.show(&explanation, candidates::show)
    }

    async fn schedule(&self, cx: &Context, node: &Connection) -> Result<Explanation, Failure> {
        let (request, input) = self.call.request(cx, node, false).await?;
        node.client.schedule(&request, input).await
    }
}
