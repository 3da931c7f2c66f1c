//! WebAssembly on wasmtime, in warm processes of this binary.
//!
//! Takes attempts, gives outputs. Guests are compiled and run in child
//! processes only, one attempt at a time, one owner per process; a deadline is
//! a SIGKILL, so it holds in endless loops, in host calls and in blocked reads
//! alike, and costs the guest nothing.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Attempt, Error, Fault, Module, Output, Program, Sandbox, Stdout, error::of_io, folders,
    owner_folder, tree,
};
use crate::{model::Abi, task::Tasks};

mod input;
mod pool;
mod process;
mod protocol;
pub mod worker;

use pool::{Lease, Pool, Roots};
use process::Process;
use protocol::{Blob, Done, Failure, Reply, Request, Success};

/// What runs modules, as receipts name it.
pub const ENGINE: &str = "wasmtime-48";
/// A file system with less room than this counts as full when a guest fails.
const FULL_DISK_BYTES: u64 = 64 << 10;

/// How [`Wasm`] works.
#[derive(Clone, Debug)]
pub struct Config {
    /// This very binary; started with the argument `sandbox-worker`.
    pub program: PathBuf,
    /// Compiled modules, in a folder for each owner; made with mode 0700.
    pub cache_dir: PathBuf,
    /// Attempts, in a folder for each owner, named by [`super::owner_folder`].
    pub work_dir: PathBuf,
    /// Modules.
    pub code_dir: PathBuf,
    /// Processes at a time, over all owners.
    pub max_processes: usize,
    /// A module that compiles for longer than this is refused.
    pub compile_timeout: Duration,
    /// A process that ran nothing for this long is ended.
    pub idle_timeout: Duration,
}

/// The WebAssembly sandbox.
#[derive(Debug)]
pub struct Wasm {
    cache_dir: PathBuf,
    compile_timeout: Duration,
    pool: Pool,
    tasks: Tasks,
}

impl Wasm {
    /// Prepares the cache directory; processes start with the first attempts.
    /// Must be called within a tokio runtime; `tasks` gets one that ends idle
    /// processes. Dropping the sandbox kills them all.
    ///
    /// # Errors
    /// When the cache directory cannot be made.
    pub fn new(config: Config, tasks: &Tasks) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.cache_dir)
            .map_err(of_io)?;
        let cache_dir = config.cache_dir.canonicalize().map_err(of_io)?;
        let roots = Roots {
            cache: cache_dir.clone(),
            work: config.work_dir,
            code: config.code_dir,
        };
        let sizes = (config.max_processes, config.idle_timeout);
        let pool = Pool::new((config.program, roots), sizes, tasks);
        Ok(Self {
            cache_dir,
            compile_timeout: config.compile_timeout,
            pool,
            tasks: tasks.clone(),
        })
    }

    /// Kills idle processes and waits until they are gone. Running attempts
    /// end by their own tokens.
    pub async fn shutdown(&self) {
        self.pool.clear().await;
    }

    /// Where compiled modules are kept.
    #[must_use]
    pub fn cache_dir(&self) -> &Path {
        &self.cache_dir
    }

    /// Process ids of the warm processes that run nothing now.
    #[must_use]
    pub fn idle_processes(&self) -> Vec<u32> {
        self.pool.idle()
    }

    async fn attempt(
        &self,
        mut attempt: Attempt,
        cancel: CancellationToken,
    ) -> Result<Output, Error> {
        let Program::Wasm(module) = attempt.program.clone() else {
            return Err(Error::Unavailable("it runs WebAssembly only".to_owned()));
        };
        let stdin = input::Source::of(attempt.stdin.take())
            .await
            .map_err(Error::Input)?;
        let work = attempt.work.clone();
        let mut lease = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Error::Cancelled),
            lease = self.pool.lease(&attempt.owner) => lease?,
        };
        folders::hand_over(&attempt).map_err(of_io)?;
        let (small, feed) = stdin.open(&work).map_err(of_io)?;
        let fifo = feed.as_ref().map(input::Fifo::path);
        let mut request = self.request((attempt, module), small, fifo);
        request.is_at_hand = lease.process().has_run(&request.code_cid) && feed.is_none();
        let limits = request.limits;
        let (is_open, compile) = (Notify::new(), self.compile_timeout);
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            error = input::feed(feed, &is_open) => Err(Error::Input(error)),
            error = tree::watch(&self.tasks, work.join("out"), limits.output_bytes) => Err(error),
            done = converse(lease.process(), &request, compile, &is_open) => done,
        };
        finish(lease, ended, &work, limits.output_bytes).await
    }

    fn request(
        &self,
        (attempt, module): (Attempt, Module),
        small: Option<Bytes>,
        stdin: Option<&Path>,
    ) -> Request {
        Request {
            cache_dir: self.cache_dir.join(owner_folder(&attempt.owner)),
            code_cid: module.code.cid.to_string(),
            is_at_hand: false,
            code_path: module.code.path,
            abi: module.abi,
            entry: module.entry,
            args: attempt.args,
            env: attempt.env,
            small: small.map(Blob),
            stdin: stdin.map(Path::to_owned),
            input_dir: attempt.input_dir,
            work: attempt.work,
            limits: attempt.limits,
            fuel: module.fuel,
            pure: module.pure,
        }
    }
}

impl Sandbox for Wasm {
    fn runtime(&self) -> &'static str {
        "wasm"
    }

    fn offers(&self) -> Result<Vec<String>, String> {
        Ok(Abi::ALL.map(|abi| abi.as_str().to_owned()).to_vec())
    }

    fn run(
        &self,
        attempt: Attempt,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Output, Error>> {
        self.attempt(attempt, cancel).boxed()
    }
}

/// One attempt over the control pipes. The two timeouts are the compiler's, who
/// has nothing to do where the module is at hand, and the guest's. Tells
/// `is_open` once the process has opened its input.
async fn converse(
    process: &mut Process,
    request: &Request,
    compile: Duration,
    is_open: &Notify,
) -> Result<Done, Error> {
    let wall = Duration::from_millis(request.limits.wall_ms);
    let ready = async {
        process.send(request).await?;
        process.receive().await
    };
    let is_at_hand = request.is_at_hand;
    let patience = if is_at_hand { wall } else { compile };
    match tokio::time::timeout(patience, ready).await {
        Ok(Ok(Reply::Started)) => is_open.notify_one(),
        Ok(Ok(Reply::Done(done))) => {
            process.ran(&request.code_cid);
            return Ok(done);
        }
        Ok(Err(error)) => return Err(process.obituary(&error, !is_at_hand).await),
        Err(_) if is_at_hand => return Err(Error::Deadline { after: wall }),
        Err(_) => {
            let after = humantime::format_duration(compile);
            return Err(Fault::CompileLimit(format!("not done after {after}")).into());
        }
    }
    match tokio::time::timeout(wall, process.receive()).await {
        Ok(Ok(Reply::Done(done))) => {
            process.ran(&request.code_cid);
            Ok(done)
        }
        Ok(Ok(Reply::Started)) => Err(Error::ProcessDied("it spoke out of turn".to_owned())),
        Ok(Err(error)) => Err(process.obituary(&error, false).await),
        Err(_) => Err(Error::Deadline { after: wall }),
    }
}

/// Keeps the process where it is as good as new, and turns what it said into
/// the result.
async fn finish(
    lease: Lease,
    ended: Result<Done, Error>,
    work: &Path,
    output_limit: u64,
) -> Result<Output, Error> {
    let is_cold = lease.is_new();
    let done = match ended {
        Ok(done) => done,
        Err(error) => {
            let is_file_limit = lease.end().await.hit_file_limit();
            return Err(match error {
                Error::ProcessDied(_) if is_file_limit => Fault::OutputTooLarge {
                    limit: output_limit,
                }
                .into(),
                error => error,
            });
        }
    };
    if done.is_swollen {
        lease.end().await;
    } else {
        lease.give_back();
    }
    match done.outcome {
        Ok(success) => Ok(output(work, success, is_cold)),
        Err(Failure::Fault(_)) if is_full(work) => Err(Error::DiskFull),
        Err(Failure::Fault(fault)) => Err(Error::User(fault)),
        Err(Failure::DiskFull) => Err(Error::DiskFull),
        Err(Failure::Node(message)) => Err(Error::Io(io::Error::other(message))),
    }
}

fn output(work: &Path, success: Success, is_cold: bool) -> Output {
    let mut usage = success.usage;
    usage.cold |= is_cold;
    let stdout = match success.stdout {
        Some(Blob(bytes)) => Stdout::Small(bytes),
        None => Stdout::File(work.join("stdout")),
    };
    Output {
        stdout,
        out_dir: success.has_out.then(|| work.join("out")),
        logs: work.join("stderr"),
        exit: 0,
        usage,
    }
}

/// A guest told `ENOSPC` fails in its own way; that is not its fault.
fn is_full(work: &Path) -> bool {
    rustix::fs::statvfs(work)
        .is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) < FULL_DISK_BYTES)
}
