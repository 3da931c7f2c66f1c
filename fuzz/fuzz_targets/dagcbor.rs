//! Canonical DAG-CBOR of any shape.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| timerose::wire::fuzz::dagcbor(data));
