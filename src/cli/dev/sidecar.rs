//! A `timerose daemon` beside a temporary Kubo.
//!
//! Takes its home, its Kubo's repository and flags; gives a daemon that said
//! that it is ready. Never shares a home with another one.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use super::{
    Error, Process,
    environment::{self, Place},
    process::Stopped,
};
use crate::config::Home;

/// How long a sidecar may take until it is ready.
const START: Duration = Duration::from_secs(30);

/// What it says then.
const READY: &str = "Daemon is ready";

/// What to start.
#[derive(Clone, Debug)]
pub struct SidecarOptions {
    /// TimeRose's program.
    pub program: PathBuf,
    /// `TIMEROSE_PATH`; the log lies beside it.
    pub home: PathBuf,
    /// The repository of its Kubo.
    pub ipfs_path: PathBuf,
    /// Flags of `timerose daemon`.
    pub flags: Vec<String>,
    /// Further environment, for all that is run on this node.
    pub environment: Vec<(String, String)>,
    /// The network namespace of it all; none is ours.
    pub place: Option<Place>,
}

/// A sidecar that is ready.
#[derive(Debug)]
pub struct SidecarProcess {
    options: SidecarOptions,
    process: Process,
}

impl SidecarProcess {
    /// Starts it.
    ///
    /// # Errors
    /// Any of [`Error`]; nothing is left running then.
    pub async fn start(options: SidecarOptions) -> Result<Self, Error> {
        Home::at(&options.home)
            .create()
            .map_err(Error::file(&options.home))?;
        let process = launch(&options).await?;
        Ok(Self { options, process })
    }

    /// Its home, the value of `TIMEROSE_PATH`.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.options.home
    }

    /// Its process, to look at.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// A command of this node: its program, home and Kubo.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        command(&self.options, arguments)
    }

    /// Changes the flags that the next start uses.
    pub fn set_flags(&mut self, flags: Vec<String>) {
        self.options.flags = flags;
    }

    /// Changes the further environment that the next start uses.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.options.environment = environment;
    }

    /// Sets a variable for the next start and for commands of this node.
    pub fn set_variable(&mut self, name: &str, value: String) {
        let all = &mut self.options.environment;
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value));
    }

    /// Ends it the polite way first.
    ///
    /// # Errors
    /// [`Error::Unstoppable`].
    pub async fn stop(&mut self) -> Result<Stopped, Error> {
        self.process.stop().await
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// [`Error::Unstoppable`].
    pub async fn kill9(&mut self) -> Result<(), Error> {
        self.process.kill9().await
    }

    /// Starts it again in the same home, after stopping it if it runs.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.process.stop().await?;
        self.process = launch(&self.options).await?;
        Ok(())
    }
}

fn command<S: AsRef<OsStr>>(options: &SidecarOptions, arguments: &[S]) -> Command {
    let mut command = environment::command(&options.program, options.place.as_ref());
    command
        .env("TIMEROSE_PATH", &options.home)
        .env("IPFS_PATH", &options.ipfs_path)
        .envs(
            options
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .args(arguments);
    command
}

async fn launch(options: &SidecarOptions) -> Result<Process, Error> {
    let mut arguments = vec!["daemon".to_owned()];
    arguments.extend(options.flags.iter().cloned());
    let log = options.home.with_extension("log");
    let mut process = Process::start("timerose", command(options, &arguments), &log)?;
    let socket = options.home.join("api.sock");
    let ready =
        async |process: &Process| (socket.exists() && process.log().contains(READY)).then_some(());
    process.until(START, ready).await?;
    Ok(process)
}
