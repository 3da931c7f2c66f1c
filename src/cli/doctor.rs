//! `timerose doctor`: what keeps this node from its work, and what helps.

mod beside;
mod check;
mod machine;
mod mesh;

use check::State;

use super::{context::Context, exit::Stop};

/// Look for what keeps this node from its work
///
/// Checks home, disk and clock, Kubo and its settings, an echo over pubsub, the daemon and the
/// mesh. Changes nothing. Ends with 1 if something must be repaired.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose doctor
  timerose doctor --enc=json | jq '.[] | select(.state == \"fail\")'")]
pub(super) struct Args {}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let progress = cx.out.progress();
        progress.say("looking at this machine");
        let mut checks = machine::checks(cx);
        progress.say("asking Kubo");
        checks.extend(beside::checks(cx).await);
        progress.say("asking the daemon");
        checks.extend(mesh::checks(cx).await);
        drop(progress);
        cx.out.show(&checks, |all| check::show(all))?;
        let failed = checks.iter().any(|check| check.state == State::Fail);
        if failed { Err(Stop::Code(1)) } else { Ok(()) }
    }
}
