//! libFuzzer's way in; the properties are in `src/answers.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skeygate_fuzz::answers::check(data));
