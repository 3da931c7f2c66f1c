//! What a Lambda runtime finds in its container: the Runtime API on loopback.
//!
//! Takes the command to run, or finds the bootstrap of a runtime; forwards
//! every connection to the node's socket as it is, and what the runtime says
//! to another. Whatever was said before a request is forwarded before it, so
//! the node has all of an invocation's log when it has its result.

use std::{
    io::{self, PipeReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, RawFd},
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    path::Path,
    process::{Command, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Where runtimes look for the Runtime API.
const ADDRESS: &str = "127.0.0.1:9001";
/// The node's two sockets.
const API: &str = "/run/timerose/api.sock";
const LOGS: &str = "/run/timerose/logs.sock";
/// Where a runtime begins, the function's own first.
const BOOTSTRAPS: [&str; 3] = ["/var/task/bootstrap", "/opt/bootstrap", "/var/runtime/bootstrap"];
const PIECE_BYTES: usize = 64 << 10;
/// Every connection has a thread for each direction; neither needs much.
const STACK_BYTES: usize = 128 << 10;

/// Runs `command`, or a bootstrap, to its end.
pub fn run(command: Vec<String>) -> ExitCode {
    match serve(command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("container-init: {error}");
            ExitCode::from(125)
        }
    }
}

fn serve(command: Vec<String>) -> io::Result<u8> {
    let listener = TcpListener::bind(ADDRESS)?;
    let (reader, writer) = io::pipe()?;
    let said = Arc::new(Said::new(reader, UnixStream::connect(LOGS)?));
    let (program, arguments) = found(&command)?;
    let mut runtime = Command::new(program);
    runtime.args(arguments).env("AWS_LAMBDA_RUNTIME_API", ADDRESS);
    runtime.stdout(writer.try_clone()?).stderr(writer);
    let mut child = match runtime.spawn() {
        Ok(child) => child,
        Err(error) => {
            said.tell(format!("container-init: {program}: {error}\n").as_bytes())?;
            return Ok(127);
        }
    };
    drop(runtime);
    let passing = Arc::clone(&said);
    start(move || while let Ok(true) = passing.wait() {})?;
    let accepting = Arc::clone(&said);
    start(move || accept(&listener, &accepting))?;
    let status = child.wait()?;
    said.pass()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What is to be run.
fn found(command: &[String]) -> io::Result<(&str, &[String])> {
    if let Some((program, arguments)) = command.split_first() {
        return Ok((program, arguments));
    }
    let bootstrap = BOOTSTRAPS.into_iter().find(|path| Path::new(path).exists());
    bootstrap.map(|path| (path, &[][..])).ok_or_else(|| {
        io::Error::other(format!("the image has none of {}", BOOTSTRAPS.join(", ")))
    })
}

fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(work).map(drop)
}

fn accept(listener: &TcpListener, said: &Arc<Said>) {
    for runtime in listener.incoming().flatten() {
        let said = Arc::clone(said);
        let _no_thread_no_answer = start(move || {
            let _ended = forward(runtime, &said);
        });
    }
}

/// Both ways, until either side is done.
fn forward(runtime: TcpStream, said: &Said) -> io::Result<()> {
    runtime.set_nodelay(true)?;
    let node = UnixStream::connect(API)?;
    let (mut answers, mut back) = (node.try_clone()?, runtime.try_clone()?);
    start(move || {
        let _ended = io::copy(&mut answers, &mut back);
        let _gone = back.shutdown(std::net::Shutdown::Both);
    })?;
    let (mut runtime, mut node) = (runtime, node);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let n = runtime.read(&mut piece)?;
        if n == 0 {
            return node.shutdown(std::net::Shutdown::Write);
        }
        said.pass()?;
        node.write_all(&piece[..n])?;
    }
}

/// What the runtime says, on its way to the node.
struct Said {
    pipe: RawFd,
    ends: Mutex<(PipeReader, UnixStream)>,
}

impl Said {
    fn new(reader: PipeReader, node: UnixStream) -> Self {
        Self {
            pipe: reader.as_raw_fd(),
            ends: Mutex::new((reader, node)),
        }
    }

    /// Waits for more and passes it on; false at the end of it.
    fn wait(&self) -> io::Result<bool> {
        is_readable(self.pipe, -1)?;
        self.pass()
    }

    /// Passes on all that was said so far; false at the end of it.
    fn pass(&self) -> io::Result<bool> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, node) = &mut *ends;
        let mut piece = [0; 16 << 10];
        while is_readable(self.pipe, 0)? {
            match reader.read(&mut piece)? {
                0 => return Ok(false),
                n => node.write_all(&piece[..n])?,
            }
        }
        Ok(true)
    }

    /// Says something itself.
    fn tell(&self, bytes: &[u8]) -> io::Result<()> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.1.write_all(bytes)
    }
}

/// As the system's header has it.
#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

const POLLIN: i16 = 1;

unsafe extern "C" {
    fn poll(fds: *mut PollFd, count: std::ffi::c_ulong, timeout: std::ffi::c_int) -> std::ffi::c_int;
}

/// Whether a read would not wait, after at most `timeout` milliseconds; -1 for
/// any time.
fn is_readable(fd: RawFd, timeout: i32) -> io::Result<bool> {
    let mut polled = PollFd {
        fd,
        events: POLLIN,
        revents: 0,
    };
    loop {
        // SAFETY: one descriptor is pointed to, and one is counted; it outlives the call.
        match unsafe { poll(&raw mut polled, 1, timeout) } {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
            0 => return Ok(false),
            _ => return Ok(true),
        }
    }
}
