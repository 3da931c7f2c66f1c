//! Receipts, as anybody may send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| timerose::wire::fuzz::receipt(data));
