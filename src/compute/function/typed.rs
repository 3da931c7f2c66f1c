//! What a caller typed, as the function takes it.
//!
//! Takes words, gives arguments in their canonical form, so that equal calls
//! have equal CIDs however they were written. Pure.

use ipld_core::ipld::Ipld;

use super::parse_cid;
use crate::{
    compute::Failure,
    model::{Abi, Call, Class, Manifest, Runtime},
};

/// As AWS Lambda has it.
const MAX_CLIENT_CONTEXT_BYTES: usize = 3_583;

/// Arguments in their canonical form: strings for `wasi`, numbers for `scalar`,
/// strings and links for `fan`.
///
/// # Errors
/// `user` when a number was due and something else came.
pub(crate) fn arguments(
    manifest: &Manifest,
    typed: &[String],
    client_context: Option<&str>,
) -> Result<Vec<Ipld>, Failure> {
    if let Some(context) = client_context {
        let mut args = arguments(manifest, typed, None)?;
        args.push(beside_the_event(manifest, context)?);
        return Ok(args);
    }
    let abi = match &manifest.runtime {
        Runtime::Wasm { abi, .. } => *abi,
        Runtime::Docker { .. } | Runtime::Lambda(_) => Abi::Wasi,
    };
    match abi {
        Abi::Wasi | Abi::Component => Ok(typed.iter().cloned().map(Ipld::String).collect()),
        Abi::Scalar => typed.iter().map(|text| number(text)).collect(),
        Abi::Fan => typed.iter().map(|text| byte_string(text)).collect(),
    }
}

/// What a Lambda function is given beside its event.
fn beside_the_event(manifest: &Manifest, context: &str) -> Result<Ipld, Failure> {
    let refused = |why: &str| Failure::new(Class::User, "bad_client_context", why);
    if !matches!(manifest.runtime, Runtime::Lambda(_)) {
        return Err(refused("only Lambda functions are given a client context"));
    }
    let is_json = serde_json::from_str::<serde_json::Value>(context).is_ok();
    if !is_json || context.len() > MAX_CLIENT_CONTEXT_BYTES {
        return Err(refused(
            "the client context is no JSON, or exceeds 3,583 bytes",
        ));
    }
    let context = Ipld::String(context.to_owned());
    Ok(Ipld::Map([("client_context".to_owned(), context)].into()))
}

/// Text stands for its bytes, `ipfs://CID` and `/ipfs/CID` for a file's.
fn byte_string(text: &str) -> Result<Ipld, Failure> {
    let path = text
        .strip_prefix("ipfs://")
        .or_else(|| text.strip_prefix("/ipfs/"));
    match path {
        Some(cid) => parse_cid(cid).map(Ipld::Link),
        None => Ok(Ipld::String(text.to_owned())),
    }
}

fn number(text: &str) -> Result<Ipld, Failure> {
    let integer = text
        .parse::<i128>()
        .ok()
        .filter(|n| i64::try_from(*n).is_ok() || u64::try_from(*n).is_ok());
    let float = || {
        text.parse::<f64>()
            .ok()
            .filter(|x| x.is_finite())
            .map(Ipld::Float)
    };
    integer.map(Ipld::Integer).or_else(float).ok_or_else(|| {
        Failure::new(
            Class::User,
            "bad_argument",
            format!("the argument {text:?} is no number, and this function takes numbers"),
        )
    })
}

/// The export that `call` means.
///
/// # Errors
/// `user`, where the function does not offer it.
pub(crate) fn entry_of(manifest: &Manifest, call: &Call) -> Result<Option<String>, Failure> {
    if !matches!(manifest.runtime, Runtime::Wasm { .. }) {
        return match (&call.entry, call.fuel) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(no_entries()),
            (None, Some(_)) => Err(no_fuel()),
        };
    }
    manifest.entry_of(call.entry.as_deref()).map_err(|name| {
        let offered = manifest.entries.join(", ");
        let message = format!("the function offers no `{name}`; it offers: {offered}");
        Failure::new(Class::User, "no_entry", message)
    })
}

pub(super) fn no_entries() -> Failure {
    let message = "a container has one command or handler, and no entries or ABI to choose from";
    Failure::new(Class::User, "bad_entry", message)
}

fn no_fuel() -> Failure {
    let message = "fuel counts instructions of WebAssembly, a container has none";
    Failure::new(Class::User, "bad_fuel", message)
        .with_hint("Bound its wall time instead: --wall 10s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_exact_and_words_are_refused() {
        assert_eq!(
            number("9223372036854775807").unwrap(),
            Ipld::Integer(9_223_372_036_854_775_807)
        );
        assert_eq!(number("0.5").unwrap(), Ipld::Float(0.5));
        assert_eq!(number("ten").unwrap_err().code, "bad_argument");
    }
}
