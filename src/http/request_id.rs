//! The id that one request carries through log, answer and upstream.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use ring::rand::{SecureRandom, SystemRandom};

/// Gives out request ids: 32 hexadecimal digits, unique over processes. Not a secret and not meant to be unguessable.
#[derive(Debug)]
pub struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Starts at a random place, so that two replicas do not share ids.
    #[must_use]
    pub fn new() -> Self {
        let mut seed = [0; 16];
        // Without randomness the ids of two replicas may collide; that spoils a log search, nothing else.
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
    pub fn next(&self) -> String {
        let mut id = String::with_capacity(32);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Writing to a String cannot fail.
        let _ = write!(id, "{:016x}{number:016x}", self.process);
        id
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// The id a trusted proxy sent, if it is 8 to 128 characters of `[A-Za-z0-9._-]` and the only one.
#[must_use]
pub fn from_proxy(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all("x-request-id").iter();
    let (Some(value), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let text = value.to_str().ok()?;
    let fine = (8..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    fine.then(|| text.to_owned())
}

/// A W3C `traceparent` that begins at this request: the id as trace id, its second half as parent, not sampled.
#[must_use]
pub fn traceparent(id: &str) -> Option<String> {
    let hexadecimal = id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    let parent = id.get(16..)?;
    hexadecimal.then(|| format!("00-{id}-{parent}-00"))
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
        assert_eq!(first.len(), 32);
        assert!(is_traceparent(traceparent(&first).unwrap().as_bytes()));
    }

    #[test]
    fn only_one_well_formed_id_is_taken_over() {
        let mut headers = HeaderMap::new();
        assert_eq!(from_proxy(&headers), None);
        headers.insert("x-request-id", "abc-123.DEF_4".parse().unwrap());
        assert_eq!(from_proxy(&headers).as_deref(), Some("abc-123.DEF_4"));
        headers.append("x-request-id", "abc-123.DEF_5".parse().unwrap());
        assert_eq!(from_proxy(&headers), None);
        headers.insert("x-request-id", "abc 123 {}".parse().unwrap());
        assert_eq!(from_proxy(&headers), None);
    }
}
