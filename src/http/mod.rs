//! Tools for requests and responses: paths, headers, cookies, bodies, addresses. No I/O and no
//! decisions about access.

pub mod address;
pub mod body;
pub mod field;
pub mod forwarded;
pub mod framing;
pub mod headers;
pub mod hex;
pub mod host;
pub mod lenient_path;
pub mod method;
pub mod names;
pub mod path;
pub mod request_id;
pub mod target;
