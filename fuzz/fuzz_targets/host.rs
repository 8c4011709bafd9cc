//! libFuzzer's way in; the properties are in `src/host.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::host::check(data));
