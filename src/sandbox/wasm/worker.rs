//! The process in which guests run: one attempt at a time, a fresh store each.
//!
//! Takes requests on standard input, gives replies on standard output, both
//! meant for [`super::Wasm`] alone. Never returns to a caller's code, never
//! outlives its control pipe, never keeps anything of a guest but its
//! compiled module.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit},
};
use tokio::runtime::{Builder, Runtime};

use super::protocol::{self, Blob, Done, Failure, Reply, Request, Success};
use crate::task::Tasks;

mod component;
mod engine;
mod fan;
mod guest;
mod isolation;
mod logs;
mod scalar;
mod streams;
mod wasi;

use engine::Modules;
pub use isolation::{Level, Places, escapes, isolate};
use logs::Logs;

/// What a process may hold beyond a fresh one and its compiled modules.
const SLACK_BYTES: u64 = 8 << 20;
/// The thread that watches the pipe; no guest runs on it.
const CONTROL_STACK_BYTES: usize = 512 << 10;
/// Data that compiling may take, all in all.
const COMPILE_DATA_BYTES: u64 = 2 << 30;

/// Gives up all but `places`, serves attempts until the control pipe closes,
/// then ends the process. Must come before any thread is started.
///
/// # Errors
/// When the process cannot be set up or a reply cannot be written.
pub fn serve(places: &Places) -> io::Result<()> {
    lower(Resource::Core, 0)?;
    let memory = Memory::open();
    let _as_far_as_possible = isolate(places);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(CONTROL_STACK_BYTES)
        .build()?;
    let runtime = Abandoned(Some(runtime));
    match &runtime.0 {
        Some(runtime) => attempts(runtime, &memory),
        None => Ok(()),
    }
}

/// A runtime that nothing waits for at the end, a panic's neither: the thread
/// that watches the pipe never ends by itself.
struct Abandoned(Option<Runtime>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn attempts(runtime: &Runtime, memory: &Memory) -> io::Result<()> {
    end_with_the_pipe(runtime);
    let mut requests = io::stdin().lock();
    let mut modules = None;
    let fresh_bytes = memory.anonymous_bytes();
    while let Ok(request) = protocol::read(&mut requests) {
        let outcome = match &mut modules {
            Some(modules) => attempt(runtime, modules, &request),
            none => Modules::new(&request.cache_dir)
                .map_err(Failure::from)
                .and_then(|fresh| attempt(runtime, none.insert(fresh), &request)),
        };
        let code_bytes = modules.as_ref().map_or(0, Modules::code_bytes);
        let is_swollen = memory.anonymous_bytes() > fresh_bytes + code_bytes + SLACK_BYTES;
        reply(&Reply::Done(Done {
            outcome,
            is_swollen,
        }))?;
    }
    Ok(())
}

/// Watches the pipe on a thread of its own, so that its end ends the process
/// also while a guest loops.
fn end_with_the_pipe(runtime: &Runtime) {
    let _context = runtime.enter();
    let _runs_until_the_end = Tasks::new().spawn_blocking(|| {
        let stdin = io::stdin();
        let hung_up = || poll(&mut [PollFd::new(&stdin, PollFlags::empty())], None);
        while let Err(Errno::INTR) = hung_up() {}
        let _cannot_fail = kill_process(getpid(), Signal::KILL);
    });
}

fn reply(reply: &Reply) -> io::Result<()> {
    protocol::write(&mut io::stdout().lock(), reply)
}

fn attempt(
    runtime: &Runtime,
    modules: &mut Modules,
    request: &Request,
) -> Result<Success, Failure> {
    let logs = Logs::at(request.work.join("stderr"), request.limits.log_bytes);
    let stdout = streams::Stdout::at(request.work.join("stdout"), request.limits.output_bytes);
    make_out(&request.work.join("out"))?;
    let result = runtime.block_on(async {
        lower(Resource::Data, COMPILE_DATA_BYTES)?;
        let loaded = modules.load(request);
        raise(Resource::Data)?;
        let (module, compile) = loaded?;
        lower(
            Resource::Fsize,
            request.limits.output_bytes.max(request.limits.log_bytes),
        )?;
        let is_quiet = request.is_at_hand && compile.is_none();
        let usage = guest::run(request, &module, (&stdout, &logs), is_quiet).await;
        raise(Resource::Fsize)?;
        let mut usage = usage?;
        usage.compile_us = compile.unwrap_or_default();
        usage.cold = compile.is_some();
        let out = request.work.join("out");
        let (written, small) = stdout.finish()?;
        let size = crate::sandbox::tree::measure(&out, written, request.limits.output_bytes)??;
        Ok(Success {
            stdout: small.map(Blob),
            has_out: size.entries > 0,
            usage,
        })
    });
    if let Err(Failure::Fault(fault)) = &result {
        logs.explain(fault);
    }
    result
}

/// The caller may have made it.
fn make_out(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Sets the soft limit only, so that it can be raised again.
fn lower(resource: Resource, bytes: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum;
    let current = maximum.map_or(bytes, |maximum| maximum.min(bytes));
    Ok(setrlimit(
        resource,
        Rlimit {
            current: Some(current),
            maximum,
        },
    )?)
}

fn raise(resource: Resource) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum;
    Ok(setrlimit(
        resource,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?)
}

/// What the kernel says of this process's memory, opened while it may be.
struct Memory {
    pages: Option<File>,
    page_bytes: u64,
}

impl Memory {
    /// Asks for the size of a page as well: who asks later finds the answer of
    /// the first time, and the kernel may not tell any more.
    fn open() -> Self {
        Self {
            pages: File::open("/proc/self/statm").ok(),
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    /// Resident memory that no file backs; 0 where the kernel does not tell.
    fn anonymous_bytes(&self) -> u64 {
        let mut text = [0; 128];
        let read = self
            .pages
            .as_ref()
            .and_then(|file| file.read_at(&mut text, 0).ok());
        let text = text.get(..read.unwrap_or_default()).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let mut pages = text
            .split_ascii_whitespace()
            .skip(1)
            .map_while(|word| word.parse().ok());
        let resident: u64 = pages.next().unwrap_or_default();
        let shared: u64 = pages.next().unwrap_or_default();
        resident.saturating_sub(shared) * self.page_bytes
    }
}
