//! A process of ours: started in a group of its own, logged to a file, ended
//! for certain.
//!
//! Takes a command, gives its life. Nothing it starts outlives a drop; if this
//! process itself is killed with SIGKILL, its children stay behind, since safe
//! Rust cannot ask the kernel to end them.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group,
    waitid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::Error;

/// How long each rung of the ladder has: ask, ask again, force.
const LADDER: [(Signal, Duration); 3] = [
    (Signal::TERM, Duration::from_secs(5)),
    (Signal::TERM, Duration::from_secs(3)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// How often something that gives no notice is looked at.
const POLL: Duration = Duration::from_millis(25);

/// How much of a log is shown.
const TAIL_LINES: usize = 40;

/// A process with its group and its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
    log_start: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// It went by itself when asked for the first time.
    pub gracefully: bool,
    /// How long that took.
    pub after: Duration,
}

impl Process {
    /// Starts `command`, whose output is appended to the file `log`.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::File`].
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, Error> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let (output, errors) = open()
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(Error::file(log))?;
        let log_start = errors.metadata().map_or(0, |meta| meta.len());
        let program = PathBuf::from(command.as_std().get_program());
        let failed = |source| Error::Start {
            program: program.clone(),
            source,
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = id.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            pid,
            log: log.to_owned(),
            log_start,
        })
    }

    /// The process id, also after it ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it or anything that it started is still there.
    #[must_use]
    pub fn group_is_alive(&self) -> bool {
        test_kill_process_group(self.pid).is_ok()
    }

    /// Asks it to end, twice, then forces it.
    ///
    /// # Errors
    /// [`Error::Unstoppable`].
    pub async fn stop(&mut self) -> Result<Stopped, Error> {
        let start = Instant::now();
        for (rung, (signal, patience)) in LADDER.into_iter().enumerate() {
            if self.has_ended() {
                return Ok(Stopped {
                    gracefully: rung <= 1,
                    after: start.elapsed(),
                });
            }
            self.signal(signal);
            if timeout(patience, self.child.wait()).await.is_ok() {
                return Ok(Stopped {
                    gracefully: rung == 0,
                    after: start.elapsed(),
                });
            }
        }
        Err(self.unstoppable())
    }

    /// Kills it without a word, as a crash would; what it started is left to
    /// notice by itself.
    ///
    /// # Errors
    /// [`Error::Unstoppable`].
    pub async fn kill9(&mut self) -> Result<(), Error> {
        self.signal(Signal::KILL);
        let (_, patience) = LADDER[2];
        match timeout(patience, self.child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.unstoppable()),
        }
    }

    /// Waits up to `patience` for everything it started to be gone too.
    pub async fn group_ends_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.group_is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }

    /// Polls `ready` until it gives something, the process ends, or `patience`
    /// is over.
    pub(super) async fn until<T>(
        &mut self,
        patience: Duration,
        mut ready: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = ready(self).await {
                return Ok(found);
            }
            let (name, log) = (self.name.clone(), self.log_tail());
            if self.has_ended() {
                return Err(Error::Ended { name, log });
            }
            if Instant::now() >= deadline {
                return Err(Error::NotReady {
                    name,
                    after: patience,
                    log,
                });
            }
            sleep(POLL).await;
        }
    }

    /// What it has written since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.log_start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// The last lines of [`Self::log`].
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let mut lines: Vec<&str> = log.lines().rev().take(TAIL_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }

    /// Signals the process itself; one that has been waited for is no more ours.
    fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            let _already_gone = kill_process(self.pid, signal);
        }
    }

    fn unstoppable(&self) -> Error {
        Error::Unstoppable {
            name: self.name.clone(),
            pid: self.pid(),
        }
    }
}

impl Drop for Process {
    /// Kills the group and waits until the process is dead, so that its files
    /// can be removed. It stays a zombie until the runtime reaps it.
    fn drop(&mut self) {
        let was_running = !self.has_ended();
        if self.group_is_alive() {
            let _already_gone = kill_process_group(self.pid, Signal::KILL);
        }
        if was_running {
            let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _reaped_meanwhile = waitid(WaitId::Pid(self.pid), dead);
        }
    }
}
