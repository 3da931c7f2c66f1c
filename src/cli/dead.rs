//! `timerose dead`: durable invocations that were given up.

use super::{
    connect::live,
    context::Context,
    exit::Stop,
    table::{table, tail},
};
use crate::compute::Record;

/// See to invocations that every executor failed at
///
/// A detached invocation that used up its tries is set aside with the reasons. Nothing of it is
/// lost: it can be retried, with its tries and its time anew, or dropped.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose dead ls
  timerose dead show 01JD…
  timerose dead retry 01JD…
  timerose dead ls -q | xargs -n1 timerose dead drop")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List them, oldest first
    Ls,
    /// Show one with its reasons
    Show {
        /// Id of the invocation, or the beginning of it
        invocation: String,
    },
    /// Give one its tries and its time again
    Retry {
        /// Id of the invocation, or the beginning of it
        invocation: String,
    },
    /// Give one up for good
    Drop {
        /// Id of the invocation, or the beginning of it
        invocation: String,
    },
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let node = live(cx).await?;
        match self.command {
            Command::Ls => {
                let dead = node.dead().await?;
                let is_quiet = cx.out.is_quiet();
                cx.out
                    .show(&dead, |all| if is_quiet { names(all) } else { rows(all) })
            }
            Command::Show { invocation } => cx.out.show(&node.record(&invocation).await?, reasons),
            Command::Retry { invocation } => {
                cx.out.show(&node.dead_retry(&invocation).await?, line)
            }
            Command::Drop { invocation } => cx.out.show(&node.dead_drop(&invocation).await?, line),
        }
    }
}

fn names(all: &[Record]) -> String {
    let names = all.iter().map(|record| record.invocation.as_str());
    names.collect::<Vec<_>>().join("\n")
}

fn rows(all: &[Record]) -> String {
    let rows = all.iter().map(|record| {
        [
            record.invocation.clone(),
            tail(&record.function),
            record.attempts.to_string(),
            error(record),
        ]
    });
    table(&["INVOCATION", "FUNCTION", "ATTEMPTS", "ERROR"], rows)
}

fn reasons(record: &Record) -> String {
    let (name, function) = (&record.invocation, &record.function);
    format!(
        "{name} of {function}\n{}",
        error(record).replace("; ", "\n")
    )
}

fn line(record: &Record) -> String {
    format!("{} {}", record.invocation, record.state)
}

fn error(record: &Record) -> String {
    let error = record.error.as_ref();
    error.map_or_else(String::new, |error| error.message.clone())
}
