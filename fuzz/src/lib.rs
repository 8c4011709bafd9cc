//! Properties that hold for any bytes: one plain function per target, `fn(&[u8])`, which panics
//! where a property does not hold. libFuzzer calls them from `fuzz_targets/`, the smoke run of the
//! package's tests calls them on the corpus (`tests/fuzz.rs`). Inputs are text where that is
//! possible, so that the corpus can be read and a dictionary helps.

pub mod answers;
pub mod config;
mod fields;
pub mod framing;
pub mod headers;
pub mod host;
pub mod login_body;
pub mod path;
pub mod request;
pub mod sealed;
pub mod smuggling;
mod text;
pub mod token_body;
pub mod token_head;

/// A target: holds its properties against any bytes, and panics where one does not hold.
pub type Check = fn(&[u8]);

/// Every target by the name of its file in `fuzz_targets/` and of its folder in `corpus/`.
pub const TARGETS: [(&str, Check); 12] = [
    ("answers", answers::check),
    ("config", config::check),
    ("framing", framing::check),
    ("headers", headers::check),
    ("host", host::check),
    ("login_body", login_body::check),
    ("path", path::check),
    ("request", request::check),
    ("sealed", sealed::check),
    ("smuggling", smuggling::check),
    ("token_body", token_body::check),
    ("token_head", token_head::check),
];
