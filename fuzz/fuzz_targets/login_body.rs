//! libFuzzer's way in; the properties are in `src/login_body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::login_body::check(data));
