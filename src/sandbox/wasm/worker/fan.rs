//! The `fan` ABI: byte strings in, one byte string out, all in the guest's
//! memory; functions of the function-addressable network run unchanged.
//!
//! Takes files with the arguments, gives what the function leaves in their
//! place. `alloc(total + 100)` gives a buffer, the arguments are laid into it
//! end to end, `f(buffer, length…)` overwrites it and returns the length of
//! what it left. The 100 bytes of slack are part of the contract. The guest is
//! believed in nothing: its memory is measured anew after every call into it.

use std::{fs::File, io::Read, path::Path};

use wasmtime::{ExternType, FuncType, Instance, InstancePre, Memory, Module, Store, Val, ValType};

use super::{
    Failure, Request,
    guest::{State, failure_of},
    scalar::missing,
    streams::Stdout,
};
use crate::sandbox::{
    Fault,
    check::fan::{ALLOC, MEMORY, NOT_ALLOC, NOT_LENGTHS},
};

/// What a function may leave beyond the length of its arguments.
const SLACK_BYTES: u64 = 100;

/// Calls the entry and writes what it leaves.
pub(super) async fn call(
    store: &mut Store<State>,
    module: &InstancePre<State>,
    request: &Request,
    stdout: &Stdout,
) -> Result<(), Failure> {
    let arguments = Arguments::open(request)?;
    let name = request.entry.as_deref().unwrap_or_default();
    arguments.fit(name, &signature(module.module(), name)?)?;
    let instance = module
        .instantiate_async(&mut *store)
        .await
        .map_err(failure_of)?;
    let memory = instance
        .get_memory(&mut *store, MEMORY)
        .ok_or_else(|| missing(module.module(), MEMORY))?;
    let room = arguments.total() + SLACK_BYTES;
    let size = i32_of(room).ok_or(Fault::MemoryLimit {
        wanted: room,
        limit: u64::from(u32::MAX),
    })?;
    let buffer = enter(store, instance, ALLOC, &[size]).await?;
    let buffer = u64::from(buffer.cast_unsigned());
    arguments.lay(slice(store, memory, buffer, room)?)?;
    let lengths = arguments.files.iter().map(|(_, length)| i32_of(*length));
    let params: Option<Vec<_>> = [i32_of(buffer)].into_iter().chain(lengths).collect();
    let left = enter(store, instance, name, &params.unwrap_or_default()).await?;
    let left = u64::try_from(left).map_err(|_| Fault::BadReturn(left.into()))?;
    if left > room {
        return Err(Fault::BufferOverflow { left, room }.into());
    }
    stdout.append(slice(store, memory, buffer, left)?)
}

/// The arguments' files and their lengths.
struct Arguments {
    files: Vec<(File, u64)>,
}

impl Arguments {
    fn open(request: &Request) -> Result<Self, Failure> {
        let folder = request.input_dir.as_deref().unwrap_or(Path::new(""));
        let open = |name: &serde_json::Value| -> Result<_, Failure> {
            let file = File::open(folder.join(name.as_str().unwrap_or_default()))?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let files = request.args.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    fn total(&self) -> u64 {
        self.files.iter().map(|(_, length)| length).sum()
    }

    /// Whether the entry takes so many.
    fn fit(&self, name: &str, signature: &FuncType) -> Result<(), Fault> {
        let takes = signature.params().len().saturating_sub(1);
        let given = self.files.len();
        if takes == given {
            return Ok(());
        }
        Err(Fault::Arity {
            name: name.to_owned(),
            takes,
            given,
        })
    }

    /// Copies them end to end.
    fn lay(&self, mut room: &mut [u8]) -> Result<(), Failure> {
        for (file, length) in &self.files {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            let (place, rest) = room.split_at_mut_checked(length).unwrap_or_default();
            let mut file = file;
            file.read_exact(place)?;
            room = rest;
        }
        Ok(())
    }
}

fn signature(module: &Module, name: &str) -> Result<FuncType, Fault> {
    let Some(ExternType::Func(signature)) = module.get_export(name) else {
        return Err(missing(module, name));
    };
    let is_i32 = |ty: ValType| matches!(ty, ValType::I32);
    let are_i32 = signature.params().chain(signature.results()).all(is_i32);
    let counts = (signature.params().len(), signature.results().len());
    let reason = match counts {
        _ if name == ALLOC => NOT_ALLOC,
        (1.., 1) if are_i32 => return Ok(signature),
        _ => NOT_LENGTHS,
    };
    Err(Fault::BadEntry {
        name: name.to_owned(),
        reason: reason.to_owned(),
    })
}

async fn enter(
    store: &mut Store<State>,
    instance: Instance,
    name: &str,
    params: &[i32],
) -> Result<i32, Failure> {
    let params: Vec<_> = params.iter().copied().map(Val::I32).collect();
    let mut results = [Val::I32(0)];
    let function = instance
        .get_func(&mut *store, name)
        .ok_or_else(|| Fault::MissingExport {
            name: name.to_owned(),
            have: Vec::new(),
        })?;
    function
        .call_async(&mut *store, &params, &mut results)
        .await
        .map_err(failure_of)?;
    match results {
        [Val::I32(result)] => Ok(result),
        _ => Err(Fault::BadReturn(0).into()),
    }
}

/// So much of the guest's memory as it is now.
fn slice(
    store: &mut Store<State>,
    memory: Memory,
    at: u64,
    length: u64,
) -> Result<&mut [u8], Fault> {
    let data = memory.data_mut(store);
    let has = data.len() as u64;
    let range = usize::try_from(at)
        .ok()
        .zip(usize::try_from(at.saturating_add(length)).ok());
    range
        .and_then(|(from, to)| data.get_mut(from..to))
        .ok_or(Fault::BadAllocation { at, length, has })
}

/// As the guest takes it: 32 bits, whatever their sign.
fn i32_of(number: u64) -> Option<i32> {
    u32::try_from(number).ok().map(u32::cast_signed)
}
