//! How bytes reach an endpoint: sockets, and the protocols spoken over them.

mod dial;
pub mod http1;

pub(super) use self::dial::open;
