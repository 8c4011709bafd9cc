//! libFuzzer's way in; the properties are in `src/token_body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::token_body::check(data));
