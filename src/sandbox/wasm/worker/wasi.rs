//! The `wasi` ABI: a command module of WASI preview 1.
//!
//! Takes a request, gives the guest args, environment, standard streams, `/in`
//! read-only and `/out`, and nothing else: no socket, no other file, nothing
//! inherited.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::{
    Deterministic, FsPerms, HostMonotonicClock, HostWallClock, I32Exit, WasiCtxBuilder,
    p1::WasiP1Ctx, p2::pipe::MemoryInputPipe,
};

use super::{
    Failure, Request,
    guest::{State, failure_of},
    logs::Logs,
    streams::{Stdin, Stdout},
};
use crate::{model::Abi, sandbox::Fault};

/// The entry of a command module.
pub(super) const START: &str = "_start";
/// One `random_get` gives no more.
const MAX_RANDOM_BYTES: u64 = 16 << 20;
/// What every pure guest gets for randomness, over and over.
static RANDOM_CYCLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let blocks = (0..RANDOM_CYCLE_BYTES / 32).map(|block| Sha256::digest(block.to_le_bytes()));
    blocks.flatten().collect()
});
const RANDOM_CYCLE_BYTES: u64 = 16 << 10;

/// What the host may be made to copy in one call. Guests name buffers in their
/// own memory, so its limit bounds them; less would refuse large single reads.
pub(super) fn hostcall_fuel(request: &Request) -> usize {
    usize::try_from(request.limits.memory_bytes)
        .unwrap_or(usize::MAX)
        .saturating_add(1 << 20)
}

/// All that the guest can reach.
pub(super) fn context(
    request: &Request,
    stdout: &Stdout,
    logs: &Logs,
) -> Result<WasiP1Ctx, Failure> {
    let mut builder = WasiCtxBuilder::new();
    if !matches!(request.abi, Abi::Wasi | Abi::Component) {
        return Ok(builder.build_p1());
    }
    builder
        .allow_blocking_current_thread(true)
        .allow_tcp(false)
        .allow_udp(false)
        .max_random_size(MAX_RANDOM_BYTES)
        .stdout(stdout.clone())
        .stderr(logs.clone());
    match (&request.small, &request.stdin) {
        (Some(small), _) => _ = builder.stdin(MemoryInputPipe::new(small.0.clone())),
        (None, Some(fifo)) => _ = builder.stdin(Stdin::open(fifo)?),
        (None, None) => {}
    }
    builder.arg(request.entry.as_deref().unwrap_or("function"));
    for value in &request.args {
        builder.arg(argument(value)?);
    }
    for (key, value) in &request.env {
        builder.env(key, value);
    }
    if let Some(directory) = &request.input_dir {
        builder
            .preopened_dir(directory, "/in", FsPerms::ReadOnly)
            .map_err(node)?;
    }
    builder
        .preopened_dir(request.work.join("out"), "/out", FsPerms::ReadWrite)
        .map_err(node)?;
    if request.pure {
        make_pure(&mut builder);
    }
    Ok(builder.build_p1())
}

/// Calls the entry. Leaving with code 0 is success, as is returning.
pub(super) async fn call(
    store: &mut Store<State>,
    module: &InstancePre<State>,
    request: &Request,
) -> Result<(), Failure> {
    let name = request.entry.as_deref().unwrap_or(START);
    let instance = module
        .instantiate_async(&mut *store)
        .await
        .map_err(failure_of)?;
    let Some(function) = instance.get_func(&mut *store, name) else {
        return Err(super::scalar::missing(module.module(), name).into());
    };
    let Ok(function) = function.typed::<(), ()>(&mut *store) else {
        let reason = "it takes or gives values; a command's entry has none".to_owned();
        return Err(Fault::BadEntry {
            name: name.to_owned(),
            reason,
        }
        .into());
    };
    match function.call_async(&mut *store, ()).await {
        Err(error) if !matches!(error.downcast_ref(), Some(I32Exit(0))) => Err(failure_of(error)),
        _ => Ok(()),
    }
}

fn argument(value: &serde_json::Value) -> Result<String, Failure> {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => value.to_string(),
        _ => return Err(Fault::BadArgument(format!("{value} is no string")).into()),
    };
    if text.contains('\0') {
        return Err(Fault::BadArgument("a string holds a zero byte".to_owned()).into());
    }
    Ok(text)
}

fn node(error: wasmtime::Error) -> Failure {
    Failure::Node(error.to_string())
}

fn make_pure(builder: &mut WasiCtxBuilder) {
    builder
        .wall_clock(Stopped)
        .monotonic_clock(Counted::default())
        .secure_random(Deterministic::new(RANDOM_CYCLE.clone()))
        .insecure_random(Deterministic::new(RANDOM_CYCLE.clone()))
        .insecure_random_seed(0);
}

/// The time of a pure guest: it is always the start of 1970.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// The clock of a pure guest: a nanosecond passes whenever it is looked at, for
/// some runtimes take a clock that stands still, or shows zero, for broken.
#[derive(Default)]
struct Counted(AtomicU64);

impl HostMonotonicClock for Counted {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
