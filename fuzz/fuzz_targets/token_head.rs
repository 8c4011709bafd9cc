//! libFuzzer's way in; the properties are in `src/token_head.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::token_head::check(data));
