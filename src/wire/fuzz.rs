//! What a fuzzer feeds to the readers of strangers' bytes; compiled for it and
//! for tests alone.
//!
//! Takes any bytes; fails where one of them is believed in two forms, or makes
//! the reader panic.

use ed25519_dalek::SigningKey;
use ipld_core::ipld::Ipld;

use super::{
    dagcbor,
    envelope::{self, Expect},
    receipt,
};

/// The time of the published vectors.
const NOW: u64 = 1_800_000_000;
/// The seed of the key that signs them.
const SIGNER: [u8; 32] = [101; 32];

/// An envelope of anybody, to its end.
pub fn envelope(data: &[u8]) {
    let Ok(parsed) = envelope::parse(data) else {
        return;
    };
    assert_eq!(parsed.encode().as_deref(), Ok(data));
    let header = &parsed.header;
    let expect = Expect {
        net: &header.net,
        me: header.to.as_ref().unwrap_or(&header.from),
        key: &SigningKey::from_bytes(&SIGNER).verifying_key(),
        now: header.ts.unwrap_or(NOW),
    };
    let _believed_or_refused = parsed.open(&expect);
}

/// A receipt of anybody: one that is believed has no other form.
pub fn receipt(data: &[u8]) {
    if let Ok((read, verified)) = receipt::open(data) {
        assert_eq!(dagcbor::encode(&read).as_deref(), Ok(data));
        assert_eq!(receipt::verify(&read), Ok(verified));
    }
}

/// Any value: what is read is written again in the same bytes.
pub fn dagcbor(data: &[u8]) {
    if let Ok(value) = dagcbor::decode::<Ipld>(data) {
        assert_eq!(dagcbor::encode(&value).as_deref(), Ok(data));
        assert_eq!(dagcbor::check_bounds(data), Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;

    /// Where a fuzzer begins: published bytes, by target and name.
    const SEEDS: [(&str, &str); 10] = [
        ("envelope", "hello_a_to_b"),
        ("envelope", "frame_a_to_b"),
        ("envelope", "bye_a_to_b"),
        ("receipt", "receipt_of_b"),
        ("dagcbor", "call"),
        ("dagcbor", "frame"),
        ("dagcbor", "frame_header"),
        ("dagcbor", "bye_a_to_b"),
        ("dagcbor", "hello_a_to_b"),
        ("dagcbor", "receipt_of_b"),
    ];

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn seed(target: &str, name: &str) -> PathBuf {
        root().join("fuzz/seeds").join(target).join(name)
    }

    #[test]
    fn fuzzing_begins_with_the_published_vectors() {
        let vectors = std::fs::read_to_string(root().join("docs/vectors.json")).unwrap();
        let vectors: Value = serde_json::from_str(&vectors).unwrap();
        let mut stale = Vec::new();
        for (target, name) in SEEDS {
            let text = vectors[name].as_str().unwrap();
            let bytes = multibase::Base::Base16Lower.decode(text).unwrap();
            let path = seed(target, name);
            if std::fs::read(&path).ok() != Some(bytes.clone()) {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, bytes).unwrap();
                stale.push(path);
            }
        }
        assert!(stale.is_empty(), "stale, and made anew: {stale:?}");
    }

    #[test]
    fn what_fuzzing_begins_with_is_understood() {
        for (target, name) in SEEDS {
            let Ok(data) = std::fs::read(seed(target, name)) else {
                panic!("{target}/{name} is made by another test: run again");
            };
            match target {
                "envelope" => assert!(envelope::parse(&data).is_ok(), "{name}"),
                "receipt" => assert!(receipt::open(&data).is_ok(), "{name}"),
                _ => assert!(dagcbor::decode::<Ipld>(&data).is_ok(), "{name}"),
            }
            for entry in [envelope, receipt, dagcbor] {
                entry(&data);
                entry(&data[..data.len() / 2]);
            }
        }
    }
}
