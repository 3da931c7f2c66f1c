//! One child process in which guests run: starts it, talks to it, kills it.
//!
//! Takes requests, gives replies. It inherits no environment and no files but
//! its control pipes; it ends by itself when those close, so it never outlives
//! this process, however that one ends. (`PR_SET_PDEATHSIG` is not used: it
//! fires when the *thread* that started the child ends.)

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::{
    protocol::{self, Reply, Request},
    worker::Places,
};
use crate::sandbox::{Error, Fault};

/// One arena and prompt return of freed memory: a process lives for long.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];
/// The kernel's signals for a file over its limit, an abort and bad memory.
const SIGXFSZ: i32 = 25;
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
/// Of what a dying process says, this much is passed on.
const LAST_WORDS_BYTES: u64 = 2048;
const DEATH_TIMEOUT: Duration = Duration::from_secs(2);

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    stderr: Option<ChildStderr>,
    ended: Option<ExitStatus>,
    /// The module that it ran last.
    last: Option<String>,
}

impl Process {
    /// Starts `program`, which then gives up all but `places`.
    pub(super) fn start(program: &Path, places: &Places) -> Result<Self, Error> {
        spawn(program, places).map_err(|source| Error::Spawn {
            program: program.display().to_string(),
            source,
        })
    }

    pub(super) async fn send(&mut self, request: &Request) -> io::Result<()> {
        protocol::send(&mut self.requests, request).await
    }

    pub(super) async fn receive(&mut self) -> io::Result<Reply> {
        protocol::receive(&mut self.replies).await
    }

    /// It came to the end of a run of this module.
    pub(super) fn ran(&mut self, code: &str) {
        if !self.has_run(code) {
            self.last = Some(code.to_owned());
        }
    }

    /// Whether this is the module that it ran last.
    pub(super) fn has_run(&self, code: &str) -> bool {
        self.last.as_deref() == Some(code)
    }

    /// Its process id, unless it was seen to end.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it is still there, as far as one can know without asking it.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn end(&mut self) {
        let _already_gone = self.child.start_kill();
        self.ended = tokio::time::timeout(DEATH_TIMEOUT, self.child.wait())
            .await
            .ok()
            .and_then(Result::ok)
            .or(self.ended);
    }

    /// Whether the kernel ended it for writing past the limit of a file.
    pub(super) fn hit_file_limit(&self) -> bool {
        self.ended.and_then(signal) == Some(SIGXFSZ)
    }

    /// Why the pipes broke. A module that crashes the compiler would crash it
    /// anywhere: that is the module's fault.
    pub(super) async fn obituary(&mut self, broken: &io::Error, is_compiling: bool) -> Error {
        let waited = tokio::time::timeout(DEATH_TIMEOUT, self.child.wait()).await;
        self.ended = waited.ok().and_then(Result::ok);
        let Some(status) = self.ended else {
            return Error::ProcessDied(broken.to_string());
        };
        let mut words = Vec::new();
        if let Some(stderr) = self.stderr.take() {
            let mut stderr = stderr.take(LAST_WORDS_BYTES);
            let read = stderr.read_to_end(&mut words);
            let _cut_off = tokio::time::timeout(DEATH_TIMEOUT, read).await;
        }
        let words = String::from_utf8_lossy(&words);
        let account = format!("{status} {}", words.trim()).trim().to_owned();
        match signal(status) {
            Some(SIGABRT | SIGSEGV) if is_compiling => Fault::CompileLimit(account).into(),
            _ => Error::ProcessDied(account),
        }
    }
}

fn spawn(program: &Path, places: &Places) -> io::Result<Process> {
    let mut child = Command::new(program)
        .arg("sandbox-worker")
        .args(places.arguments())
        .env_clear()
        .envs(ALLOCATOR)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let unpiped = || io::Error::other("no pipe to the child");
    let requests = child.stdin.take().ok_or_else(unpiped)?;
    let replies = BufReader::new(child.stdout.take().ok_or_else(unpiped)?);
    let stderr = child.stderr.take();
    Ok(Process {
        child,
        requests,
        replies,
        stderr,
        ended: None,
        last: None,
    })
}

fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}
