//! libFuzzer's way in; the properties are in `src/headers.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::headers::check(data));
