//! The command line: one file per command.
//!
//! Takes the arguments and the terminal, gives an exit code. Alone in the
//! crate it prints. Commands speak to a node through `api::Client` and decide
//! nothing about invocations.

mod allow;
mod bench;
mod call;
mod cancel;
mod candidates;
mod completions;
mod connect;
mod context;
mod daemon;
mod dead;
mod deploy;
pub mod dev;
mod doctor;
mod exit;
mod explain;
mod gc;
mod guest;
mod help;
mod image;
mod init;
mod invoke;
mod logs;
mod new;
mod node;
mod output;
mod package;
mod plain;
mod ps;
mod purge;
mod receipt;
mod result;
mod rm;
mod save;
mod schedule;
mod shutdown;
mod source;
mod storage;
mod table;
mod target;
mod word;

use std::{process::ExitCode, time::Duration};

use clap::{FromArgMatches as _, Parser, Subcommand};
use context::{Context, Globals};
use exit::Stop;
pub use help::{command, reference};
use tokio::runtime::{Builder, Runtime};

/// Compute beside an unmodified Kubo: run code where the data lies
#[derive(Debug, Parser)]
#[command(
    name = "timerose",
    version,
    propagate_version = false,
    max_term_width = 100
)]
#[command(after_long_help = "\
EXAMPLES
  timerose deploy wordcount.wasm              make a function of a module
  timerose invoke wordcount bafy…             run it on the node that has the input
  timerose invoke add.wat -- 2 3              deploy and run in one go
  timerose explain 01J…                       why it ran where it did")]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Daemon(daemon::Args),
    Doctor(doctor::Args),
    New(new::Args),
    Deploy(deploy::Args),
    Image(image::Args),
    Invoke(invoke::Args),
    Schedule(schedule::Args),
    Explain(explain::Args),
    Logs(logs::Args),
    Result(result::Args),
    Receipt(receipt::Args),
    Cancel(cancel::Args),
    Dead(dead::Args),
    Ps(ps::Args),
    Rm(rm::Args),
    Allow(allow::Args),
    Node(node::Args),
    Bench(bench::Args),
    Dev(dev::Args),
    Gc(gc::Args),
    Storage(storage::Args),
    Purge(purge::Args),
    Completions(completions::Args),
    Shutdown(shutdown::Args),
    #[command(hide = true, name = "sandbox-worker")]
    Guest(guest::Args),
}

/// What is still going on when the command is done, such as a blocked read of
/// standard input, does not hold the exit longer than this.
const LINGER: Duration = Duration::from_millis(100);

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let parsed = command()
        .try_get_matches()
        .and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, std::env::args().nth(1).as_deref()),
    };
    let cx = Context::new(cli.globals);
    let command = match cli.command {
        Command::Guest(args) => return cx.out.end(args.run()),
        command => command,
    };
    let ended = runtime(command.may_hold_a_node()).and_then(|runtime| {
        let ended = runtime.block_on(command.run(&cx));
        runtime.shutdown_timeout(LINGER);
        ended
    });
    cx.out.end(ended)
}

/// A node has a thread per core. A client alone is quicker on one, for nothing
/// is handed from thread to thread.
fn runtime(is_node: bool) -> Result<Runtime, Stop> {
    let mut builder = match is_node {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    Ok(builder.enable_all().build()?)
}

impl Command {
    /// Whether a node runs in this process, or may for want of a daemon.
    const fn may_hold_a_node(&self) -> bool {
        matches!(
            self,
            Self::Daemon(_)
                | Self::Deploy(_)
                | Self::Image(_)
                | Self::Invoke(_)
                | Self::Schedule(_)
        )
    }

    async fn run(self, cx: &Context) -> Result<(), Stop> {
        match self {
            Self::Daemon(args) => args.run(cx).await,
            Self::Invoke(args) => args.run(cx).await,
            Self::Bench(args) => args.run(cx).await,
            Self::Dev(args) => match dev::run(args).await? {
                0 => Ok(()),
                code => Err(Stop::Code(code)),
            },
            other => {
                cx.start_logs("warn", crate::telemetry::Format::Text)?;
                cx.bounded(other.run_short(cx)).await
            }
        }
    }

    /// Commands that a signal or `--timeout` may simply end.
    async fn run_short(self, cx: &Context) -> Result<(), Stop> {
        match self {
            Self::Daemon(_) | Self::Invoke(_) | Self::Bench(_) | Self::Dev(_) | Self::Guest(_) => {
                Ok(())
            }
            Self::Init(args) => args.run(cx).await,
            Self::Doctor(args) => args.run(cx).await,
            Self::New(args) => args.run(cx),
            Self::Deploy(args) => args.run(cx).await,
            Self::Image(args) => args.run(cx).await,
            Self::Schedule(args) => args.run(cx).await,
            Self::Explain(args) => args.run(cx).await,
            Self::Logs(args) => args.run(cx).await,
            Self::Result(args) => args.run(cx).await,
            Self::Receipt(args) => args.run(cx).await,
            Self::Cancel(args) => args.run(cx).await,
            Self::Dead(args) => args.run(cx).await,
            Self::Ps(args) => args.run(cx).await,
            Self::Rm(args) => args.run(cx).await,
            Self::Allow(args) => args.run(cx).await,
            Self::Node(args) => args.run(cx).await,
            Self::Gc(args) => args.run(cx).await,
            Self::Storage(args) => args.run(cx).await,
            Self::Purge(args) => args.run(cx).await,
            Self::Completions(args) => args.run(cx),
            Self::Shutdown(args) => args.run(cx).await,
        }
    }
}
