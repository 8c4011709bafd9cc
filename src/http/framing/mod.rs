//! Where a message of HTTP/1 ends, read strictly from its bytes before anything else reads them. What two servers could read
//! differently is refused (RFC 9112), so that whoever reads it after us cannot but agree.

mod chunks;
mod lines;
mod request;

use hyper::Method;

pub use self::chunks::Chunks;
pub use self::lines::{Lines, content_length, field, is_text};
pub use self::request::{HeadReader, check_http2, check_written_out};

/// What is wrong with a message, in words that may be shown.
pub type Damage = &'static str;

/// Header or trailer lines of one message, at most.
pub const MAX_FIELDS: usize = 100;
/// Bytes of a request target, at most.
pub const MAX_TARGET: usize = 8 * 1024;

/// Why a request goes no further than its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP, or HTTP that two servers could frame differently; the text is constant and may be shown.
    Malformed(Damage),
    /// The request target is longer than `MAX_TARGET`, or the request line alone than a head may be.
    TargetTooLong,
    /// More bytes or lines than a head may have.
    HeadTooLarge,
    /// The head was not complete in time.
    TooSlow,
}

/// What of a refused request can be told: nothing, where its first line could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Method and path, without the query.
    pub line: Option<(Method, String)>,
}

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body, or an empty one.
    Empty,
    /// So many bytes, not 0.
    Length(u64),
    /// Chunks.
    Chunked,
}

impl From<Damage> for Refusal {
    fn from(damage: Damage) -> Self {
        Self::Malformed(damage)
    }
}

#[cfg(test)]
mod tests;
