//! A sandbox of its own for each test: fixtures in WAT, work directories,
//! children counted by their parent.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use cid::Cid;
use multihash_codetable::{Code as Hash, MultihashDigest};
use tempfile::TempDir;
use timerose::{
    model::{Abi, Limits},
    sandbox::{
        Attempt, Code, Error, Fault, Module, Output, Program, Sandbox, Wasm, owner_folder,
        wasm::Config,
    },
    task::Tasks,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a limit may be overrun by.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

pub(crate) struct Room {
    pub(crate) wasm: Wasm,
    dir: TempDir,
    tasks: Tasks,
    attempts: AtomicU32,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let mut config = Config {
            program: PathBuf::from(env!("CARGO_BIN_EXE_timerose")),
            cache_dir: dir.path().join("cache"),
            work_dir: dir.path().join("work"),
            code_dir: dir.path().join("code"),
            max_processes: 2,
            compile_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        };
        std::fs::create_dir(&config.code_dir).unwrap();
        change(&mut config);
        let wasm = Wasm::new(config, &tasks).unwrap();
        Self {
            wasm,
            dir,
            tasks,
            attempts: AtomicU32::new(0),
        }
    }

    /// An attempt at a module given as WAT.
    pub(crate) fn attempt(&self, abi: Abi, wat: &str) -> Attempt {
        self.attempt_bytes(abi, &wat::parse_str(wat).unwrap())
    }

    pub(crate) fn attempt_bytes(&self, abi: Abi, bytes: &[u8]) -> Attempt {
        let cid = Cid::new_v1(0x55, Hash::Sha2_256.digest(bytes));
        let path = self.dir.path().join("code").join(format!("{cid}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        let work = self.work("owner");
        Attempt {
            owner: "owner".into(),
            program: Program::Wasm(Module {
                code: Code { cid, path },
                abi,
                entry: None,
                fuel: None,
                pure: false,
            }),
            args: Vec::new(),
            env: std::collections::BTreeMap::new(),
            stdin: None,
            input_dir: None,
            work,
            limits: Limits {
                wall_ms: 5_000,
                ..Limits::default()
            },
        }
    }

    /// A folder for an attempt of `owner`.
    fn work(&self, owner: &str) -> PathBuf {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        let place = self.dir.path().join("work").join(owner_folder(owner));
        let work = place.join(format!("attempt-{number}"));
        std::fs::create_dir_all(&work).unwrap();
        work
    }

    /// The same attempt, of another owner.
    pub(crate) fn owned(&self, mut attempt: Attempt, owner: &str) -> Attempt {
        attempt.owner = owner.into();
        attempt.work = self.work(owner);
        attempt
    }

    /// An empty folder where attempts find their input.
    pub(crate) fn folder(&self) -> TempDir {
        tempfile::tempdir_in(self.work("owner")).unwrap()
    }

    /// The folder of all attempts.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// A scalar attempt at `entry`.
    pub(crate) fn scalar(&self, wat: &str, entry: &str, args: &[serde_json::Value]) -> Attempt {
        let mut attempt = self.attempt(Abi::Scalar, wat);
        module(&mut attempt).entry = Some(entry.into());
        attempt.args = args.to_vec();
        attempt
    }

    pub(crate) async fn run(&self, attempt: Attempt) -> Result<Output, Error> {
        self.wasm.run(attempt, CancellationToken::new()).await
    }

    /// The fault of an attempt that must have one.
    pub(crate) async fn fault(&self, attempt: Attempt) -> Fault {
        match self.run(attempt).await {
            Err(Error::User(fault)) => fault,
            other => panic!("expected a fault, got {other:?}"),
        }
    }

    /// Runs what must reach its wall time of 300 ms and end right after.
    pub(crate) async fn must_reach_its_deadline(&self, attempt: Attempt) {
        self.warm_up(&attempt).await;
        self.must_end_at_its_deadline(attempt).await;
    }

    /// The same for what is compiled already.
    pub(crate) async fn must_end_at_its_deadline(&self, mut attempt: Attempt) {
        attempt.limits.wall_ms = 300;
        let start = Instant::now();
        let error = self.run(attempt).await.unwrap_err();
        let took = start.elapsed();
        assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
        assert!(
            took < Duration::from_millis(300) + GRACE,
            "ended after {took:?}"
        );
    }

    /// Compiles the module of `attempt`, so that only its run is timed. It is
    /// asked for an entry that is not there.
    pub(crate) async fn warm_up(&self, attempt: &Attempt) {
        let mut first = self.attempt(Abi::Scalar, "(module)");
        first.program = attempt.program.clone();
        module(&mut first).entry = Some("not there".into());
        let fault = self.fault(self.owned(first, &attempt.owner)).await;
        assert!(matches!(fault, Fault::MissingExport { .. }), "{fault:?}");
    }

    /// Ends the sandbox and waits for its processes.
    pub(crate) async fn close(self) {
        self.wasm.shutdown().await;
        self.tasks.cancel();
    }
}

/// What a WebAssembly attempt runs.
pub(crate) fn module(attempt: &mut Attempt) -> &mut Module {
    match &mut attempt.program {
        Program::Wasm(module) => module,
        _ => panic!("no module"),
    }
}

/// A command module: `_start` is `body`, with a memory and the functions named.
pub(crate) fn command(functions: &[&str], body: &str) -> String {
    let imports: String = functions.iter().map(|name| import(name)).collect();
    format!(
        "(module {imports} (memory (export \"memory\") 2)
          (data (i32.const 64) \"hello, world\\n\")
          (func (export \"_start\") (local $i i32) (local $n i32) {body}))"
    )
}

fn import(name: &str) -> String {
    let signature = match name {
        "fd_write" | "fd_read" => "(param i32 i32 i32 i32) (result i32)",
        "proc_exit" => "(param i32)",
        "random_get" | "args_get" | "args_sizes_get" | "environ_get" | "environ_sizes_get" => {
            "(param i32 i32) (result i32)"
        }
        "path_open" => "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
        "path_symlink" => "(param i32 i32 i32 i32 i32) (result i32)",
        "poll_oneoff" => "(param i32 i32 i32 i32) (result i32)",
        "clock_time_get" => "(param i32 i64 i32) (result i32)",
        "fd_filestat_set_size" => "(param i32 i64) (result i32)",
        other => panic!("no signature for {other}"),
    };
    format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {signature}))\n")
}

/// WAT that writes `length` bytes at `from` to `fd`.
pub(crate) fn write(fd: &str, from: &str, length: &str) -> String {
    format!(
        "(i32.store (i32.const 0) {from}) (i32.store (i32.const 4) {length})
         (drop (call $fd_write {fd} (i32.const 0) (i32.const 1) (i32.const 8)))"
    )
}

/// WAT that sleeps by one `poll_oneoff` on the monotonic clock.
pub(crate) fn sleep(time: Duration) -> String {
    format!(
        "(i32.store (i32.const 1040) (i32.const 1))
         (i64.store (i32.const 1048) (i64.const {}))
         (drop (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 8)))",
        time.as_nanos()
    )
}

/// WAT that does `body` for ever.
pub(crate) fn for_ever(body: &str) -> String {
    format!("(loop $again {body} (br $again))")
}

/// Copies standard input to standard output, 64 KiB at a time.
pub(crate) fn cat() -> String {
    command(
        &["fd_read", "fd_write"],
        "(loop $more
           (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 65536))
           (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
           (local.set $n (i32.load (i32.const 8)))
           (if (local.get $n) (then
             (i32.store (i32.const 4) (local.get $n))
             (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
             (br $more))))",
    )
}

/// Opens `path` relative to descriptor `dir`, then writes hello to it; exits
/// with the first errno.
pub(crate) fn write_file(dir: u32, path: &str) -> String {
    let body = format!(
        "(local.set $n (call $path_open (i32.const {dir}) (i32.const 0) (i32.const 256)
           (i32.const {}) (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 16)))
         (if (local.get $n) (then (call $proc_exit (local.get $n))))
         {}",
        path.len(),
        write(
            "(i32.load (i32.const 16))",
            "(i32.const 64)",
            "(i32.const 13)"
        )
    );
    command(&["path_open", "proc_exit", "fd_write"], &body).replace(
        "(memory (export \"memory\") 2)",
        &format!("(memory (export \"memory\") 2) (data (i32.const 256) \"{path}\")"),
    )
}

/// The text of a finished attempt's standard output.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.read().unwrap().to_vec()).unwrap()
}
