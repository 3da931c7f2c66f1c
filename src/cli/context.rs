//! What every command gets: the global flags, the home, the output.

use std::{future::Future, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    exit::{Stop, bad},
    output::Output,
};
use crate::{
    compute::Failure,
    config::{Config, Home, Span},
    model::Class,
    telemetry::{self, Format},
};

/// Flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Folder of this node: settings, key, state, socket [default: ~/.timerose]
    #[arg(
        long,
        global = true,
        env = "TIMEROSE_PATH",
        value_name = "DIR",
        hide_env_values = true
    )]
    #[arg(hide_short_help = true)]
    home: Option<PathBuf>,
    /// Kubo's RPC API, as a multiaddr or URL
    #[arg(long, global = true, value_name = "ADDR", hide_short_help = true)]
    api: Option<String>,
    /// Secret for Kubo's API: `bearer:…` or `basic:user:pass`
    #[arg(long, global = true, value_name = "SECRET", hide_short_help = true)]
    api_auth: Option<String>,
    /// Kubo's repository, where its `api` file lies [default: ~/.ipfs]
    #[arg(
        long,
        global = true,
        env = "IPFS_PATH",
        value_name = "DIR",
        hide_env_values = true
    )]
    #[arg(hide_short_help = true)]
    ipfs_path: Option<PathBuf>,
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    #[arg(hide_short_help = true)]
    pub(crate) enc: Enc,
    /// Give up after this long, in Go's form: 500ms, 30s, 1m30s
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true)]
    pub(crate) timeout: Option<Span>,
    /// Print names (CIDs, ids) alone, and no remarks
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) quiet: bool,
    /// Log what happens to standard error
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) debug: bool,
    /// What is logged: a level or a filter
    #[arg(long, global = true, env = "TIMEROSE_LOG", value_name = "FILTER")]
    #[arg(hide_short_help = true, hide_env_values = true)]
    log_level: Option<String>,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Enc {
    /// For people.
    #[default]
    Text,
    /// For programs; the same as the HTTP API's.
    Json,
}

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    /// The flags.
    pub(crate) globals: Globals,
    /// The way to the terminal.
    pub(crate) out: Output,
}

impl Context {
    /// Of the flags of this command line.
    pub(crate) fn new(globals: Globals) -> Self {
        let out = Output::new(globals.enc, globals.quiet);
        Self { globals, out }
    }

    /// The home: `--home`, `$TIMEROSE_PATH`, `~/.timerose`.
    pub(crate) fn home(&self) -> Result<Home, Failure> {
        let given = self.globals.home.clone();
        let user = || std::env::home_dir().map(|dir| dir.join(".timerose"));
        given.or_else(user).map(Home::at).ok_or_else(|| {
            bad("bad_home", "no home directory is known").with_hint("Set --home or $TIMEROSE_PATH.")
        })
    }

    /// Settings with the global flags on top, then `flags`.
    pub(crate) fn config(&self, flags: toml::Table) -> Result<Config, Failure> {
        let mut table = flags;
        let ipfs_path = self
            .globals
            .ipfs_path
            .as_ref()
            .map(|p| p.display().to_string());
        set(&mut table, "kubo", "api", self.globals.api.clone());
        set(&mut table, "kubo", "auth", self.globals.api_auth.clone());
        set(&mut table, "kubo", "ipfs_path", ipfs_path);
        set(&mut table, "log", "level", self.globals.log_level.clone());
        Config::load(&self.home()?, &table).map_err(|e| {
            bad("bad_config", e.to_string()).with_hint("docs/config.md lists every setting.")
        })
    }

    /// Starts the logs at `level`, or at what `--debug` and `--log-level` say.
    pub(crate) fn start_logs(&self, level: &str, format: Format) -> Result<(), Failure> {
        let debug = self.globals.debug.then_some("info,timerose=debug");
        let level = debug.or(self.globals.log_level.as_deref()).unwrap_or(level);
        telemetry::start(level, format, Output::has_colours())
            .map_err(|e| bad("bad_argument", e.to_string()))
    }

    /// Runs a command until it ends, `--timeout` is over or Ctrl-C is pressed.
    pub(crate) async fn bounded(
        &self,
        command: impl Future<Output = Result<(), Stop>>,
    ) -> Result<(), Stop> {
        let timeout = self.globals.timeout.map(|span| span.0);
        let deadline = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = command => ended,
            () = deadline => Err(out_of_time(self.globals.timeout).into()),
            _ = tokio::signal::ctrl_c() => Err(Stop::Code(super::exit::CANCELLED)),
        }
    }
}

/// `--timeout` is over.
pub(crate) fn out_of_time(timeout: Option<Span>) -> Failure {
    let after = timeout
        .map(|span| format!(" after {span}"))
        .unwrap_or_default();
    Failure::new(Class::Deadline, "deadline", format!("gave up{after}"))
        .with_hint("A longer --timeout gives it more time.")
}

/// Puts a flag's value, if it was given, where the configuration has it.
pub(crate) fn set(
    table: &mut toml::Table,
    section: &str,
    key: &str,
    value: Option<impl Into<toml::Value>>,
) {
    let Some(value) = value else { return };
    let section = table
        .entry(section)
        .or_insert_with(|| toml::Table::new().into());
    if let toml::Value::Table(section) = section {
        section.insert(key.to_owned(), value.into());
    }
}
