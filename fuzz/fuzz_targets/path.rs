//! libFuzzer's way in; the properties are in `src/path.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::path::check(data));
