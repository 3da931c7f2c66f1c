//! Manifests of the function-addressable network (IPFS-FAN, 2021), read as ours.
//!
//! Takes the block of a function's file, gives a manifest. The original checks
//! nothing; here a call may only name what `Fxs` names. `Args` is one list for
//! all exports and says nothing of their number: it is not believed.

use bytes::Bytes;
use cid::Cid;
use serde::Deserialize;

use super::{
    Refusal,
    block::{DAG_PB, RAW},
    unixfs,
};
use crate::model::{Abi, Manifest};

/// Bytes of the largest manifest: it names exports and one CID.
const MAX_MANIFEST_BYTES: usize = 64 << 10;

/// What of the original's compact JSON is of use.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Original {
    /// Go writes a list without elements as `null`.
    fxs: Option<Vec<String>>,
    bytecode: Link,
}

#[derive(Debug, Deserialize)]
struct Link {
    #[serde(rename = "/")]
    cid: String,
}

/// Whether a function so named can only be one of that network: its manifests
/// are files.
#[must_use]
pub const fn is_file(function: &Cid) -> bool {
    matches!(function.codec(), DAG_PB | RAW)
}

/// Reads the file `function` from its only block.
///
/// # Errors
/// [`Refusal::Oversized`], [`Refusal::Malformed`].
pub fn manifest(function: &Cid, block: Bytes) -> Result<Manifest, Refusal> {
    let text = match function.codec() {
        RAW => block,
        _ => unixfs::content(block).ok_or(Refusal::Malformed)?,
    };
    parse(&text)
}

/// Reads the text of a manifest.
///
/// # Errors
/// [`Refusal::Oversized`], [`Refusal::Malformed`].
pub fn parse(text: &[u8]) -> Result<Manifest, Refusal> {
    if text.len() > MAX_MANIFEST_BYTES {
        return Err(Refusal::Oversized);
    }
    let original: Original = serde_json::from_slice(text).map_err(|_| Refusal::Malformed)?;
    let code: Cid = original
        .bytecode
        .cid
        .parse()
        .map_err(|_| Refusal::Malformed)?;
    let entries = original.fxs.unwrap_or_default();
    let entry = match entries.as_slice() {
        [] => return Err(Refusal::Malformed),
        [only] => Some(only.clone()),
        _ => None,
    };
    Ok(Manifest {
        entry,
        entries,
        ..Manifest::wasm(Cid::new_v1(code.codec(), *code.hash()), Abi::Fan)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Runtime, wire::cid_of};

    const CODE: &str = "bafybeicg2rebjoofv4kbyovkw7af3rpiitvnl6i7ckcywaq6xjcxnc2mby";

    fn read(text: &str) -> Result<Manifest, Refusal> {
        let block = unixfs::file(text.as_bytes());
        manifest(&cid_of(DAG_PB, &block), block.into())
    }

    #[test]
    fn an_original_manifest_is_a_function() {
        let text = format!(
            r#"{{"Fxs":["map","reduce"],"Bytecode":{{"/":"{CODE}"}},"Args":[{{"Name":"string","Codec":null}}]}}"#
        );
        let function = read(&text).unwrap();
        let code = CODE.parse().unwrap();
        assert_eq!(
            function.runtime,
            Runtime::Wasm {
                code,
                abi: Abi::Fan
            }
        );
        assert_eq!(function.entry_of(Some("map")), Ok(Some("map".to_owned())));
        assert_eq!(function.entry_of(Some("alloc")), Err("alloc".to_owned()));
        assert_eq!(function.entry_of(None), Ok(None), "it has two");
    }

    #[test]
    fn its_only_export_needs_no_name_and_unknown_keys_no_meaning() {
        let text = format!(r#"{{"New":1,"Args":null,"Bytecode":{{"/":"{CODE}"}},"Fxs":["fx"]}}"#);
        assert_eq!(read(&text).unwrap().entry.as_deref(), Some("fx"));
    }

    #[test]
    fn what_names_no_export_or_no_code_is_no_function() {
        for text in [
            String::new(),
            "[]".to_owned(),
            format!(r#"{{"Fxs":null,"Bytecode":{{"/":"{CODE}"}}}}"#),
            r#"{"Fxs":["fx"],"Bytecode":{"/":"x"}}"#.to_owned(),
            format!(
                r#"{{"Fxs":["{}"],"Bytecode":{{"/":"{CODE}"}}}}"#,
                "x".repeat(MAX_MANIFEST_BYTES)
            ),
        ] {
            assert!(read(&text).is_err(), "{text:.40}");
        }
    }
}
