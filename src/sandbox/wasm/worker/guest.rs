//! One guest in its store: its limits, its start, the meaning of its end.
//!
//! Takes a loaded module and a request, gives what the guest used or why it
//! failed. The store is gone afterwards, and all memory of the guest is zeroed.

use tokio::time::Instant;
use wasmtime::{ResourceLimiter, Store, Trap, UnknownImportError};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView, p1::WasiP1Ctx};

use super::{
    Failure, Reply, Request, component, engine::Ready, fan, logs::Logs, reply, scalar,
    streams::Stdout, wasi,
};
use crate::{
    model::Abi,
    sandbox::{Fault, Usage},
};

/// Core instances that make up one component.
pub(super) const MAX_PARTS: u32 = 64;
const MAX_TABLE_ELEMENTS: usize = 10_000;

/// What a store holds besides the guest.
pub(super) struct State {
    pub(super) wasi: WasiP1Ctx,
    limiter: Limiter,
}

/// Refuses growth with a fault of its own instead of a `-1` that guests turn
/// into an abort without a reason.
struct Limiter {
    memory_limit: u64,
    /// Of all memories together.
    memory_bytes: u64,
    memory_peak: u64,
    /// Instances, and memories, of one guest.
    parts: u32,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

/// A reason to stop the guest, carried through wasmtime's errors.
#[derive(Debug, thiserror::Error)]
#[error("stopped by the sandbox")]
struct Stop(std::sync::Mutex<Option<Failure>>);

/// Wraps `failure` so that [`failure_of`] finds it again.
pub(super) fn stop(failure: Failure) -> wasmtime::Error {
    wasmtime::Error::from(Stop(std::sync::Mutex::new(Some(failure))))
}

/// Runs the guest; tells the parent right before, unless that knows.
pub(super) async fn run(
    request: &Request,
    code: &Ready,
    (stdout, logs): (&Stdout, &Logs),
    is_quiet: bool,
) -> Result<Usage, Failure> {
    let limiter = Limiter {
        memory_limit: request.limits.memory_bytes,
        memory_bytes: 0,
        memory_peak: 0,
        parts: if request.abi == Abi::Component {
            MAX_PARTS
        } else {
            1
        },
    };
    let wasi = wasi::context(request, stdout, logs)?;
    let mut store = Store::new(code.engine(), State { wasi, limiter });
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(wasi::hostcall_fuel(request));
    if let Some(fuel) = request.fuel {
        store.set_fuel(fuel).map_err(failure_of)?;
    }
    if !is_quiet {
        reply(&Reply::Started)?;
    }
    let start = Instant::now();
    let ended = match (code, request.abi) {
        (Ready::Component(command), _) => component::call(&mut store, command, request).await,
        (Ready::Module(module), Abi::Scalar) => {
            scalar::call(&mut store, module, request, stdout).await
        }
        (Ready::Module(module), Abi::Fan) => fan::call(&mut store, module, request, stdout).await,
        (Ready::Module(module), _) => wasi::call(&mut store, module, request).await,
    };
    let run_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let fuel = request
        .fuel
        .and_then(|fuel| Some(fuel.saturating_sub(store.get_fuel().ok()?)));
    let memory_peak_bytes = store.data().limiter.memory_peak;
    ended?;
    Ok(Usage {
        run_us,
        fuel,
        memory_peak_bytes,
        ..Usage::default()
    })
}

/// Whose fault an error of wasmtime is.
pub(super) fn failure_of(error: wasmtime::Error) -> Failure {
    if let Some(Stop(failure)) = error.downcast_ref::<Stop>()
        && let Some(failure) = failure.lock().ok().and_then(|mut failure| failure.take())
    {
        return failure;
    }
    if let Some(import) = error.downcast_ref::<UnknownImportError>() {
        let (module, name) = (import.module().to_owned(), import.name().to_owned());
        return Fault::ForbiddenImport { module, name }.into();
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Fault::Exit(*code).into();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::StackOverflow.into(),
        Some(Trap::OutOfFuel) => Fault::OutOfFuel.into(),
        _ => Fault::Trap(error.root_cause().to_string()).into(),
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let others = self.memory_bytes.saturating_sub(current as u64);
        let (wanted, limit) = (others.saturating_add(desired as u64), self.memory_limit);
        if maximum.is_some_and(|maximum| desired > maximum) && wanted <= limit {
            return Ok(false);
        }
        if wanted > limit {
            return Err(stop(Fault::MemoryLimit { wanted, limit }.into()));
        }
        self.memory_bytes = wanted;
        self.memory_peak = self.memory_peak.max(wanted);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE_ELEMENTS {
            let (wanted, limit) = (desired as u64, MAX_TABLE_ELEMENTS as u64);
            let what = "table elements".to_owned();
            return Err(stop(
                Fault::TableLimit {
                    what,
                    wanted,
                    limit,
                }
                .into(),
            ));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.parts as usize
    }

    fn memories(&self) -> usize {
        self.parts as usize
    }
}
