//! Tells what bytes are that are no core module.

use crate::sandbox::Fault;

/// Magic number and what it stands for, for the mistakes people make.
const KINDS: [(&[u8], &str); 9] = [
    (b"\x7fELF", "it is an ELF program; compile for wasm32-wasi"),
    (b"MZ", "it is a Windows program; compile for wasm32-wasi"),
    (
        b"\xcf\xfa\xed\xfe",
        "it is a macOS program; compile for wasm32-wasi",
    ),
    (b"PK\x03\x04", "it is a zip archive"),
    (b"\x1f\x8b", "it is a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "it is a zstd archive"),
    (b"#!", "it is a script"),
    (b"BC\xc0\xde", "it is LLVM bitcode; link it first"),
    (b"!<arch>\n", "it is a static library; link it first"),
];

/// Passes what starts like a core module of version 1.
pub(super) fn module(bytes: &[u8]) -> Result<(), Fault> {
    match bytes {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        _ => Err(Fault::NotWasm(describe(bytes))),
    }
}

fn describe(bytes: &[u8]) -> String {
    match bytes {
        [] => return "it is empty".to_owned(),
        [b'\0', b'a', b's', b'm', _, 0, 1, 0, ..] => {
            return "it is a component, to be called as one".to_owned();
        }
        [b'\0', b'a', b's', b'm', version @ ..] if version.len() >= 4 => {
            return "it is of an unknown version".to_owned();
        }
        [b'\0', b'a', b's', b'm', ..] => return "it is cut off".to_owned(),
        _ => {}
    }
    if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*kind).to_owned();
    }
    let head = bytes.get(..512).unwrap_or(bytes);
    match std::str::from_utf8(head) {
        Ok(text) if text.trim_start().starts_with("(module") => "it is WAT text".to_owned(),
        Ok(_) => "it is text".to_owned(),
        Err(error) if error.error_len().is_none() => "it is text".to_owned(),
        Err(_) => "its first bytes are unknown".to_owned(),
    }
}
