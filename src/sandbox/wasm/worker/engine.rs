//! Engines and compiled modules: what stays warm between attempts.
//!
//! Takes module bytes, gives something to instantiate. Compiled code is kept
//! on disk by wasmtime's own cache, keyed by the bytes' hash, the version and
//! the settings; that spares an `unsafe` call of ours.

use std::{collections::HashMap, io, path::Path};

use tokio::time::Instant;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, component::Linker as Components,
};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::{
    Failure, Request, component,
    guest::{self, State},
};
use crate::{model::Abi, sandbox::Fault};

/// As `max_wasm_stack`; the guest's own stack holds the host's calls as well.
const WASM_STACK_BYTES: usize = 1 << 20;
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// Modules kept in the process, and what their code may take together.
const MAX_MODULES: usize = 8;
const MAX_CODE_BYTES: u64 = 128 << 20;
const MAX_TABLES: u64 = 4;
/// Tables that have a place at once, and elements of each: beyond what a guest
/// may have, so that it is told of its limit and not of the pool's.
const POOLED_TABLES: u32 = 64;
const POOLED_ELEMENTS: usize = 1 << 17;
/// Where a guest's memory was up to there, its pages stay for the next guest,
/// zeroed.
const KEPT_MEMORY_BYTES: usize = 64 << 10;
/// What the host keeps of one instance; an interpreter of 100,000 functions
/// needs a tenth.
const MAX_INSTANCE_BYTES: usize = 64 << 20;

/// Settings that change the compiled code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Flavour {
    has_fuel: bool,
    is_pure: bool,
}

/// Engines with their linkers, and the modules used last.
pub(super) struct Modules {
    cache: Cache,
    engines: HashMap<Flavour, Linkers>,
    /// Most recently used last.
    recent: Vec<Loaded>,
}

struct Linkers {
    engine: Engine,
    wasi: Linker<State>,
    /// For code that imports nothing.
    bare: Linker<State>,
    components: Components<State>,
}

/// Code that can be instantiated.
#[derive(Clone)]
pub(super) enum Ready {
    Module(InstancePre<State>),
    Component(CommandPre<State>),
}

impl Ready {
    pub(super) fn engine(&self) -> &Engine {
        match self {
            Self::Module(pre) => pre.module().engine(),
            Self::Component(pre) => pre.engine(),
        }
    }
}

struct Loaded {
    cid: String,
    abi: Abi,
    flavour: Flavour,
    ready: Ready,
    code_bytes: u64,
}

impl Modules {
    /// None yet; compiled code goes to `cache_dir`.
    pub(super) fn new(cache_dir: &Path) -> io::Result<Self> {
        let mut config = CacheConfig::new();
        config.with_directory(cache_dir);
        let cache = Cache::new(config).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self {
            cache,
            engines: HashMap::new(),
            recent: Vec::new(),
        })
    }

    /// Size of the machine code that is kept.
    pub(super) fn code_bytes(&self) -> u64 {
        self.recent.iter().map(|loaded| loaded.code_bytes).sum()
    }

    /// The module ready to be instantiated, and the microseconds that took if
    /// it was not at hand.
    pub(super) fn load(&mut self, request: &Request) -> Result<(Ready, Option<u64>), Failure> {
        let flavour = Flavour {
            has_fuel: request.fuel.is_some(),
            is_pure: request.pure,
        };
        let is_wanted = |loaded: &Loaded| {
            loaded.cid == request.code_cid && loaded.abi == request.abi && loaded.flavour == flavour
        };
        if let Some(at) = self.recent.iter().position(is_wanted) {
            let loaded = self.recent.remove(at);
            let ready = loaded.ready.clone();
            self.recent.push(loaded);
            return Ok((ready, None));
        }
        let start = Instant::now();
        let loaded = self.compile(request, flavour)?;
        let ready = loaded.ready.clone();
        self.keep(loaded);
        let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok((ready, Some(took.max(1))))
    }

    fn compile(&mut self, request: &Request, flavour: Flavour) -> Result<Loaded, Failure> {
        let linkers = match self.engines.entry(flavour) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Linkers::new(flavour, &self.cache).map_err(node)?)
            }
        };
        let bytes = std::fs::read(&request.code_path)?;
        let (ready, code_bytes) = linkers.compile(request.abi, &bytes)?;
        Ok(Loaded {
            cid: request.code_cid.clone(),
            abi: request.abi,
            flavour,
            ready,
            code_bytes,
        })
    }

    fn keep(&mut self, loaded: Loaded) {
        self.recent.push(loaded);
        while self.recent.len() > 1
            && (self.recent.len() > MAX_MODULES || self.code_bytes() > MAX_CODE_BYTES)
        {
            self.recent.remove(0);
        }
    }
}

impl Linkers {
    fn new(flavour: Flavour, cache: &Cache) -> wasmtime::Result<Self> {
        let mut config = config(flavour, cache);
        let pooled = Engine::new(config.allocation_strategy(pool()));
        // Where address space is limited, each guest is given its own.
        let on_demand = InstanceAllocationStrategy::OnDemand;
        let engine = pooled.or_else(|_| Engine::new(config.allocation_strategy(on_demand)))?;
        let mut wasi = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut wasi, |state: &mut State| &mut state.wasi)?;
        let bare = Linker::new(&engine);
        let components = component::linker(&engine)?;
        Ok(Self {
            engine,
            wasi,
            bare,
            components,
        })
    }

    /// Code ready to be instantiated, and how much machine code that is.
    fn compile(&self, abi: Abi, bytes: &[u8]) -> Result<(Ready, u64), Failure> {
        let linker = match abi {
            Abi::Wasi => &self.wasi,
            Abi::Scalar | Abi::Fan => &self.bare,
            Abi::Component => {
                let (command, code_bytes) = component::compile(&self.components, bytes)?;
                return Ok((Ready::Component(command), code_bytes));
            }
        };
        let module = Module::from_binary(&self.engine, bytes)
            .map_err(|error| Fault::NotWasm(error.root_cause().to_string()))?;
        let (wanted, limit) = (module.resources_required().num_tables.into(), MAX_TABLES);
        if wanted > limit {
            let what = "tables".to_owned();
            return Err(Fault::TableLimit {
                what,
                wanted,
                limit,
            }
            .into());
        }
        let pre = linker.instantiate_pre(&module).map_err(guest::failure_of)?;
        let code = module.image_range();
        let code_bytes = (code.end as usize).saturating_sub(code.start as usize) as u64;
        Ok((Ready::Module(pre), code_bytes))
    }
}

/// No epochs: the deadline is the parent's, and they cost tight loops twofold.
/// Several memories are what joins the parts of a component.
fn config(flavour: Flavour, cache: &Cache) -> Config {
    let mut config = Config::new();
    config
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_memory64(false)
        .consume_fuel(flavour.has_fuel)
        .cranelift_nan_canonicalization(flavour.is_pure)
        .relaxed_simd_deterministic(flavour.is_pure)
        .cache(Some(cache.clone()));
    config
}

/// Memory and stack that one guest after the other gets, zeroed, for to map and
/// unmap them is most of what a short guest costs. One guest runs at a time; a
/// component has several parts.
fn pool() -> InstanceAllocationStrategy {
    let (parts, mut pool) = (guest::MAX_PARTS, PoolingAllocationConfig::new());
    pool.total_component_instances(1)
        .total_core_instances(parts)
        .total_memories(parts)
        .total_tables(POOLED_TABLES)
        .total_stacks(1)
        .max_memories_per_module(parts)
        .max_tables_per_module(POOLED_TABLES)
        .max_core_instance_size(MAX_INSTANCE_BYTES)
        .max_component_instance_size(MAX_INSTANCE_BYTES)
        .table_elements(POOLED_ELEMENTS)
        .linear_memory_keep_resident(KEPT_MEMORY_BYTES);
    pool.into()
}

fn node(error: wasmtime::Error) -> Failure {
    Failure::Node(error.to_string())
}

#[cfg(test)]
mod tests {
    use wasmtime::Store;

    use super::*;
    use crate::sandbox::check::WASI_FUNCTIONS;

    #[test]
    fn the_checker_allows_what_the_linker_has() {
        let cache_dir = tempfile::tempdir().unwrap();
        let modules = Modules::new(cache_dir.path()).unwrap();
        let flavour = Flavour {
            has_fuel: false,
            is_pure: false,
        };
        let linkers = Linkers::new(flavour, &modules.cache).unwrap();
        let mut store = Store::new(&linkers.engine, ());
        let mut linker = Linker::new(&linkers.engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut linker, |()| unreachable!()).unwrap();
        let mut offered: Vec<_> = linker
            .iter(&mut store)
            .map(|(_, name, _)| name.to_owned())
            .collect();
        let mut allowed = WASI_FUNCTIONS.map(str::to_owned).to_vec();
        offered.sort();
        allowed.sort();
        assert_eq!(offered, allowed);
    }
}
