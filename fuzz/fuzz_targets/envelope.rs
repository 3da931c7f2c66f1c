//! Envelopes, as anybody may publish them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| timerose::wire::fuzz::envelope(data));
