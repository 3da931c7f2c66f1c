//! The `scalar` ABI: an export called with JSON numbers.
//!
//! Takes numbers, gives the result as JSON text: one number, an array of
//! several, `null` of none. `i64` is exact in both directions.

use serde_json::Value;
use wasmtime::{ExternType, InstancePre, Module, Store, Val, ValType};

use super::{
    Failure, Request,
    guest::{State, failure_of},
    streams::Stdout,
};
use crate::sandbox::Fault;

/// Names listed beside a missing one.
const MAX_LISTED: usize = 20;

/// Calls the entry and writes what it gives.
pub(super) async fn call(
    store: &mut Store<State>,
    module: &InstancePre<State>,
    request: &Request,
    stdout: &Stdout,
) -> Result<(), Failure> {
    let name = request.entry.as_deref().unwrap_or_default();
    let Some(ExternType::Func(signature)) = module.module().get_export(name) else {
        return Err(missing(module.module(), name).into());
    };
    let params = arguments(&signature.params().collect::<Vec<_>>(), &request.args)?;
    let mut results = vec![Val::I32(0); signature.results().len()];
    let instance = module
        .instantiate_async(&mut *store)
        .await
        .map_err(failure_of)?;
    let Some(function) = instance.get_func(&mut *store, name) else {
        return Err(missing(module.module(), name).into());
    };
    function
        .call_async(&mut *store, &params, &mut results)
        .await
        .map_err(failure_of)?;
    let texts = results.iter().map(json).collect::<Result<Vec<_>, _>>()?;
    stdout.append(
        match texts.as_slice() {
            [] => "null".to_owned(),
            [one] => one.clone(),
            several => format!("[{}]", several.join(",")),
        }
        .as_bytes(),
    )
}

/// The fault of an entry that is not there.
pub(super) fn missing(module: &Module, name: &str) -> Fault {
    let functions = module
        .exports()
        .filter(|export| export.ty().func().is_some());
    let have = functions
        .take(MAX_LISTED)
        .map(|export| export.name().to_owned())
        .collect();
    Fault::MissingExport {
        name: name.to_owned(),
        have,
    }
}

fn arguments(types: &[ValType], values: &[Value]) -> Result<Vec<Val>, Fault> {
    if types.len() != values.len() {
        let (takes, given) = (types.len(), values.len());
        let were = if given == 1 { "was" } else { "were" };
        let message = format!("it takes {takes} numbers, {given} {were} given");
        return Err(Fault::BadArgument(message));
    }
    types
        .iter()
        .zip(values)
        .enumerate()
        .map(|(at, (ty, value))| argument(at + 1, ty, value))
        .collect()
}

fn argument(at: usize, ty: &ValType, value: &Value) -> Result<Val, Fault> {
    let Value::Number(number) = value else {
        return Err(Fault::BadArgument(format!(
            "number {at} is {}",
            kind(value)
        )));
    };
    let converted = match ty {
        ValType::I32 => number.as_i64().and_then(|n| {
            let unsigned = || u32::try_from(n).ok().map(u32::cast_signed);
            i32::try_from(n).ok().or_else(unsigned).map(Val::I32)
        }),
        ValType::I64 => {
            let unsigned = || number.as_u64().map(u64::cast_signed);
            number.as_i64().or_else(unsigned).map(Val::I64)
        }
        ValType::F32 => number.as_f64().and_then(|n| {
            let narrow = n as f32;
            narrow.is_finite().then(|| Val::F32(narrow.to_bits()))
        }),
        ValType::F64 => number.as_f64().map(|n| Val::F64(n.to_bits())),
        _ => None,
    };
    converted.ok_or_else(|| Fault::BadArgument(format!("number {at}, {number}, is no {ty}")))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null, not a number",
        Value::Bool(_) => "a boolean, not a number",
        Value::Number(_) => "a number",
        Value::String(_) => "a string, not a number",
        Value::Array(_) => "an array, not a number",
        Value::Object(_) => "an object, not a number",
    }
}

fn json(value: &Val) -> Result<String, Fault> {
    let text = match value {
        Val::I32(n) => Some(n.to_string()),
        Val::I64(n) => Some(n.to_string()),
        Val::F32(bits) => finite(f32::from_bits(*bits), f32::is_finite),
        Val::F64(bits) => finite(f64::from_bits(*bits), f64::is_finite),
        _ => None,
    };
    text.ok_or_else(|| Fault::BadResult(format!("{value:?}")))
}

/// The shortest text that reads back as the same number, the same on every node.
fn finite<T: std::fmt::Debug + Copy>(number: T, is_finite: fn(T) -> bool) -> Option<String> {
    is_finite(number).then(|| format!("{number:?}"))
}
