//! Strict HTTP/1 framing: where a message ends, read from its bytes before anything else reads
//! them. A message that two servers could frame differently is refused (RFC 9112), so every later
//! reader agrees with this one.

mod chunks;
mod lines;
mod request;

use hyper::Method;

pub use self::chunks::Chunks;
pub use self::lines::{Lines, content_length, field, is_text};
pub use self::request::{HeadReader, check_http2, check_written_out};

/// The fault of a message: a constant text that may be shown to the client.
pub type Damage = &'static str;

/// The most header or trailer lines of one message.
pub const MAX_FIELDS: usize = 100;
/// The most bytes of a request target.
pub const MAX_TARGET: usize = 8 * 1024;

/// Why a request head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// Not HTTP, or HTTP that two servers could frame differently.
    Malformed(Damage),
    /// The request target is longer than `MAX_TARGET`, or the request line alone is longer than a
    /// head may be.
    TargetTooLong,
    /// The head has more bytes or lines than allowed.
    HeadTooLarge,
    /// The head was not complete in time.
    TooSlow,
}

/// A refused request, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHead {
    /// Why.
    pub error: HeadError,
    /// Method and path, without the query; `None` when the request line could not be read.
    pub line: Option<(Method, String)>,
}

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body, or an empty one.
    Empty,
    /// This many bytes; not 0.
    Length(u64),
    /// A chunked body.
    Chunked,
}

impl From<Damage> for HeadError {
    fn from(damage: Damage) -> Self {
        Self::Malformed(damage)
    }
}

#[cfg(test)]
mod tests;
