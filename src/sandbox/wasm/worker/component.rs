//! The `component` ABI: a command of WASI preview 2.
//!
//! Takes a request, gives the guest what the `wasi` ABI gives: arguments,
//! environment, standard streams, `/in` read-only and `/out`. Sockets are
//! there, since toolchains import them unasked, and every use of one is denied.

use wasmtime::{
    Engine, Store,
    component::{Component, Linker},
};
use wasmtime_wasi::{
    I32Exit, WasiView,
    p2::{self, bindings::CommandPre},
};

use super::{
    Failure, Request,
    guest::{State, failure_of},
};
use crate::sandbox::{Fault, check::component::RUN};

/// Things of the host that a guest may hold at once, such as open files.
const MAX_RESOURCES: usize = 256;

/// What guests of this ABI may import.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// Compiles a component that is a command; gives the size of its code too.
pub(super) fn compile(
    linker: &Linker<State>,
    bytes: &[u8],
) -> Result<(CommandPre<State>, u64), Failure> {
    let component = Component::from_binary(linker.engine(), bytes)
        .map_err(|error| Fault::NotWasm(error.root_cause().to_string()))?;
    let code = component.image_range();
    let code_bytes = (code.end as usize).saturating_sub(code.start as usize) as u64;
    let pre = linker.instantiate_pre(&component).map_err(failure_of)?;
    let command = CommandPre::new(pre).map_err(|_| missing())?;
    Ok((command, code_bytes))
}

/// Runs the command. Leaving with code 0 is success, as is returning so.
pub(super) async fn call(
    store: &mut Store<State>,
    command: &CommandPre<State>,
    request: &Request,
) -> Result<(), Failure> {
    if let Some(name) = request.entry.as_deref().filter(|name| *name != RUN) {
        return Err(Fault::BadEntry {
            name: name.to_owned(),
            reason: format!("a component is entered by `{RUN}` alone"),
        }
        .into());
    }
    let table = store.data_mut().wasi.ctx().table;
    table.set_max_capacity(MAX_RESOURCES);
    let instance = command
        .instantiate_async(&mut *store)
        .await
        .map_err(failure_of)?;
    match instance.wasi_cli_run().call_run(&mut *store).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) => Err(Fault::Exit(1).into()),
        Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => Ok(()),
        Err(error) => Err(failure_of(error)),
    }
}

fn missing() -> Fault {
    Fault::MissingExport {
        name: RUN.to_owned(),
        have: Vec::new(),
    }
}
