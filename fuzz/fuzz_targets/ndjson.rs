//! Streams of Kubo, in pieces of any size.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| timerose::kubo::fuzz::ndjson(data));
