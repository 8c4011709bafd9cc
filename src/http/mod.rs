//! Tools on requests and answers: paths, headers, cookies, bodies, addresses. No I/O and no decisions about who may pass.

pub mod address;
pub mod body;
pub mod field;
pub mod forwarded;
pub mod framing;
pub mod headers;
pub mod host;
pub mod lenient_path;
pub mod method;
mod names;
pub mod path;
pub mod request_id;
pub mod target;
