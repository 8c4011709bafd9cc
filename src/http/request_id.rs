//! Request ids, for the log, the response and the upstream.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};

/// The header of the request id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A generator of request ids: 32 hexadecimal digits, unique across processes. An id is not a
/// secret and may be guessable.
#[derive(Debug)]
pub struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Starts at a random number, so that two replicas do not share ids.
    #[must_use]
    pub fn new() -> Self {
        let mut seed = [0; 16];
        // Without randomness two replicas may share ids, which affects log searches only.
        let _ = SystemRandom::new().fill(&mut seed);
        let (process, next) = seed.split_at(8);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Self {
            process: number(process),
            next: AtomicU64::new(number(next)),
        }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 32];
        let (process, rest) = text.split_at_mut(16);
        write_hex(self.process, process);
        write_hex(number, rest);
        RequestId::new(&text)
    }
}

/// A request id as sent and logged: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Empty if the text is not a header value, which this module never passes.
    fn new(text: &[u8]) -> Self {
        Self(HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    /// A fixed id, for examples and checks.
    #[must_use]
    pub fn example() -> Self {
        Self(HeaderValue::from_static("0123456789abcdef0123456789abcdef"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header value.
    #[must_use]
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// A W3C `traceparent` that begins at this request: the id as trace id, its second half as
    /// parent, not sampled. `None` for an id in another format, which a proxy may have set.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let id = self.0.as_bytes();
        if id.len() != 32
            || !id
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        let mut text = Vec::with_capacity(55);
        for part in [&b"00-"[..], id, b"-", id.get(16..)?, b"-00"] {
            text.extend_from_slice(part);
        }
        HeaderValue::try_from(text).ok()
    }
}

fn write_hex(number: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut rest = number;
    for digit in out.iter_mut().rev() {
        *digit = DIGITS
            .get(usize::from(rest.to_le_bytes()[0] & 15))
            .copied()
            .unwrap_or_default();
        rest >>= 4;
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// The id that a trusted proxy sent, if it is the only one and 8 to 128 characters of
/// `[A-Za-z0-9._-]`.
#[must_use]
pub fn from_proxy(headers: &HeaderMap) -> Option<RequestId> {
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    let (Some(value), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let text = value.as_bytes();
    let fine = (8..=128).contains(&text.len())
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    fine.then(|| RequestId::new(text))
}

/// Whether the text is a `traceparent` of version 00.
#[must_use]
pub fn is_traceparent(text: &[u8]) -> bool {
    let hexadecimal = |part: Option<&[u8]>, length: usize| {
        part.is_some_and(|part| {
            part.len() == length && part.iter().all(|byte| b"0123456789abcdef".contains(byte))
        })
    };
    let mut parts = text.split(|byte| *byte == b'-');
    parts.next() == Some(b"00".as_slice())
        && hexadecimal(parts.next(), 32)
        && hexadecimal(parts.next(), 16)
        && hexadecimal(parts.next(), 2)
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hexadecimal_digits_and_differ() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(first.as_str().len(), 32);
        assert!(is_traceparent(first.traceparent().unwrap().as_bytes()));
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut text = [0; 16];
        write_hex(0x0123_4567_89ab_cdef, &mut text);
        assert_eq!(&text, b"0123456789abcdef");
    }

    #[test]
    fn only_one_well_formed_id_is_taken_over() {
        let mut headers = HeaderMap::new();
        assert_eq!(from_proxy(&headers), None);
        headers.insert("x-request-id", "abc-123.DEF_4".parse().unwrap());
        assert_eq!(from_proxy(&headers).unwrap().as_str(), "abc-123.DEF_4");
        headers.append("x-request-id", "abc-123.DEF_5".parse().unwrap());
        assert_eq!(from_proxy(&headers), None);
        headers.insert("x-request-id", "abc 123 {}".parse().unwrap());
        assert_eq!(from_proxy(&headers), None);
    }
}
