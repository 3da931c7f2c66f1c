//! `timerose dev`: temporary nodes on this machine, gone on exit.
//!
//! Takes a number of nodes; gives Kubo daemons with sidecars on loopback that
//! know and allow one another, a table of them, perhaps a shell among them.
//! The same parts start the nodes of tests. Touches nobody's repository.

mod environment;
mod error;
mod kubo;
mod nodes;
mod process;
mod shell;
mod sidecar;

use std::{ffi::OsString, io::Write as _, path::PathBuf};

pub use error::Error;
pub use kubo::{KuboDaemon, KuboOptions};
pub use nodes::{Node, Nodes, NodesOptions, folder, start_kubos};
pub use process::{Process, Stopped};
pub use sidecar::{SidecarOptions, SidecarProcess};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::table::table;

/// Start temporary nodes on this machine
///
/// Each is a new Kubo daemon with its sidecar; they listen on loopback alone, know one another and
/// may run one another's code. Ctrl-C, or leaving the shell, removes everything.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose dev --nodes 3
  timerose dev --nodes 2 --shell
  timerose --home $N2 invoke add.wat -- 2 3       in that shell: from the second node")]
pub struct Args {
    /// How many nodes
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    nodes: usize,
    /// Open a shell in which $N1… are the nodes' homes and $P1… their peer IDs
    #[arg(long)]
    shell: bool,
    /// Run a command instead, with the same variables and $K1… Kubo's repositories, $S1… the
    /// sidecars' process ids
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "shell")]
    command: Vec<OsString>,
    /// Kubo's program
    #[arg(long, value_name = "PROGRAM", env = "IPFS_BIN", default_value = "ipfs")]
    #[arg(hide_env_values = true)]
    ipfs: PathBuf,
}

/// Starts the nodes, waits for the end, removes them. Gives the exit code of
/// the shell, if there was one. Handles Ctrl-C itself.
///
/// # Errors
/// Any of [`Error`]; nothing is left then.
pub async fn run(args: Args) -> Result<u8, Error> {
    let mut signals = Signals::new().map_err(Error::file("the terminal"))?;
    let timerose = std::env::current_exe().map_err(Error::file("this program"))?;
    let options = NodesOptions {
        ipfs: args.ipfs,
        timerose,
        ..NodesOptions::default()
    };
    say(&format!("Starting {} nodes …", args.nodes));
    let nodes = tokio::select! {
        nodes = Nodes::start(args.nodes, &options) => nodes?,
        () = signals.any() => return Ok(super::exit::CANCELLED),
    };
    let _nobody_reads = writeln!(anstream::stdout(), "{}", overview(&nodes));
    let ended = if args.shell || !args.command.is_empty() {
        shell::run(&nodes, &args.command, &mut signals).await
    } else {
        say("Ctrl-C ends and removes them.");
        signals.any().await;
        Ok(0)
    };
    say("Removing the nodes …");
    nodes.stop().await?;
    ended
}

/// A row for each node.
fn overview(nodes: &Nodes) -> String {
    let rows = nodes.all().iter().enumerate().map(|(index, node)| {
        [
            format!("N{}", index + 1),
            node.kubo.peer(),
            node.sidecar.home().display().to_string(),
            node.kubo.api().to_owned(),
        ]
    });
    table(&["NODE", "PEER", "HOME", "KUBO API"], rows)
}

/// A remark for people.
fn say(text: &str) {
    let _nobody_reads = writeln!(anstream::stderr(), "{text}");
}

/// The signals that end the command, held for as long as nodes exist.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes them from the system.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for any of them.
    pub(super) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            () = Self::end(&mut self.terminate, &mut self.hang_up) => {}
        }
    }

    /// Waits for one that Ctrl-C does not send: a shell has Ctrl-C for itself.
    async fn but_ctrl_c(&mut self) {
        Self::end(&mut self.terminate, &mut self.hang_up).await;
    }

    async fn end(terminate: &mut Signal, hang_up: &mut Signal) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
