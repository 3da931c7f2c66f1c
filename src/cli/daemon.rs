//! `timerose daemon`.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    context::{Context, set},
    exit::{Stop, bad, file},
};
use crate::{
    compute::Failure,
    config::Home,
    node::{Mode, Node},
};

/// Run this node
///
/// Joins the mesh through Kubo, answers commands on the home's socket and runs code for those who
/// are allowed to. The first SIGTERM or Ctrl-C ends it within 3 s, the second at once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose daemon
  timerose daemon --allow any --slots 2 --label gpu=none
  timerose daemon --mesh lab --peer /ip4/10.0.0.2/tcp/4001/p2p/12D3KooW…
  timerose daemon --listen 127.0.0.1:0")]
pub(super) struct Args {
    /// Who may run code here: peer ID, or any; may be repeated
    #[arg(long, value_name = "PEER")]
    allow: Vec<String>,
    /// Also listen on this TCP address; callers need the bearer token of the home
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Name of the mesh
    #[arg(long, value_name = "NAME")]
    mesh: Option<String>,
    /// Swarm address of a member to begin with; may be repeated
    #[arg(long, value_name = "ADDR")]
    peer: Vec<String>,
    /// What carries messages to other nodes
    #[arg(long, value_enum, value_name = "CARRIER")]
    carrier: Option<crate::mesh::Carrier>,
    /// Label that callers can ask for; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Attempts that run at once
    #[arg(long, value_name = "COUNT")]
    slots: Option<u32>,
    /// Accept a Kubo older than the tested floor
    #[arg(long)]
    allow_old_kubo: bool,
    /// How log lines are written
    #[arg(long, value_enum, value_name = "FORM")]
    log_format: Option<crate::telemetry::Format>,
}

/// How long open work may take to end. Harnesses lose patience after 3 s.
const GRACE: Duration = Duration::from_millis(2_500);

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        #[cfg(debug_assertions)]
        arm();
        let config = cx.config(self.flags()?)?;
        let log = config.log.clone();
        cx.start_logs(&log.level, log.format)?;
        let home = cx.home()?;
        home.create().map_err(|e| file(home.path(), &e))?;
        let mut signals = Signals::new()?;
        let node = tokio::select! {
            node = Node::bind(config, home.clone(), Mode::Daemon) => node?,
            () = signals.recv() => return Ok(()),
        };
        let api = announce(cx, &home, &node)?;
        tokio::select! {
            () = node.join() => {}
            () = signals.recv() => {}
        }
        drop(api);
        let _without_systemd = sd_notify::notify(&[NotifyState::Stopping]);
        tokio::select! {
            _ = node.shutdown(GRACE) => Ok(()),
            () = signals.recv() => Err(Stop::Code(super::exit::CANCELLED)),
        }
    }

    /// The flags where the configuration has them.
    fn flags(&self) -> Result<toml::Table, Failure> {
        let mut table = toml::Table::new();
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        set(&mut table, "executor", "allow", some(&self.allow));
        set(&mut table, "executor", "slots", self.slots.map(i64::from));
        set(&mut table, "executor", "labels", self.labels()?);
        set(&mut table, "mesh", "name", self.mesh.clone());
        set(&mut table, "mesh", "peers", some(&self.peer));
        let carrier = self.carrier.map(|carrier| carrier.to_string());
        set(&mut table, "mesh", "carrier", carrier);
        set(&mut table, "api", "listen", self.listen.clone());
        set(
            &mut table,
            "kubo",
            "allow_old",
            self.allow_old_kubo.then_some(true),
        );
        let format = match self.log_format {
            Some(crate::telemetry::Format::Json) => Some("json"),
            Some(crate::telemetry::Format::Text) => Some("text"),
            None => None,
        };
        set(&mut table, "log", "format", format);
        Ok(table)
    }

    fn labels(&self) -> Result<Option<toml::Table>, Failure> {
        let mut labels = toml::Table::new();
        for label in &self.label {
            let (key, value) = label.split_once('=').ok_or_else(|| {
                bad(
                    "bad_argument",
                    format!("--label {label:?}: KEY=VALUE is due"),
                )
            })?;
            labels.insert(key.to_owned(), value.into());
        }
        Ok((!labels.is_empty()).then_some(labels))
    }
}

/// Says everywhere that the node is ready: the file, the terminal, systemd.
fn announce(cx: &Context, home: &Home, node: &Node) -> Result<ApiFile, Stop> {
    let addresses = node.addresses();
    let first = addresses.first().cloned().unwrap_or_default();
    let path = home.api();
    home.write_whole(&path, &format!("{first}\n"), 0o600)
        .map_err(|e| file(&path, &e))?;
    let api = ApiFile(home.clone());
    for address in addresses {
        cx.out.line(format_args!("API listening on {address}"))?;
    }
    cx.out.line("Daemon is ready")?;
    let _without_systemd = sd_notify::notify(&[NotifyState::Ready]);
    Ok(api)
}

/// The home's `api` file, there only while the daemon is ready.
struct ApiFile(Home);

impl Drop for ApiFile {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(self.0.api());
    }
}

/// SIGTERM and SIGINT alike.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Arms the point of death that a test names.
#[cfg(debug_assertions)]
#[expect(
    clippy::disallowed_methods,
    reason = "a command may read the environment"
)]
fn arm() {
    if let Ok(point) = std::env::var("TIMEROSE_CRASH_AT") {
        crate::crash::arm(point);
    }
}
