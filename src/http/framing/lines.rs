//! The lines of a head or of trailers, and the headers that decide the framing.

use memchr::memchr;

use super::Damage;
use crate::http::names::same_folded;

/// Splits a head into lines as its bytes arrive.
#[derive(Debug, Default)]
pub struct Lines {
    /// Where the incomplete line begins.
    start: usize,
    /// How far line ends have been searched for.
    searched: usize,
}

impl Lines {
    /// The next line without its end, and where it begins; `None` until it is complete. `bytes` is
    /// all of the head so far, each time.
    ///
    /// # Errors
    /// The line ends in a bare line feed.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(usize, &'a [u8])>, Damage> {
        let new = bytes.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr(b'\n', new).map(|found| self.searched + found) else {
            self.searched = bytes.len();
            return Ok(None);
        };
        let start = std::mem::replace(&mut self.start, end + 1);
        self.searched = end + 1;
        let line = bytes.get(start..end).unwrap_or_default();
        let line = line
            .strip_suffix(b"\r")
            .ok_or("a line of the head ends in a bare line feed")?;
        Ok(Some((start, line)))
    }

    /// Where the incomplete line begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.start
    }
}

/// Name and value of a header or trailer line, the value without surrounding whitespace.
///
/// # Errors
/// The fault of the line.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    let name_end = line.iter().position(|&byte| !is_token(byte));
    let (name, value) = match name_end.and_then(|end| line.split_at_checked(end)) {
        Some((name @ [_, ..], value @ [b':', ..])) => (name, value),
        Some(([], [b' ' | b'\t', ..])) => return Err("a header line is folded"),
        Some((_, rest)) if rest.contains(&b':') => return Err("a header name is malformed"),
        _ => return Err("a header line has no colon"),
    };
    let value = value.get(1..).unwrap_or_default();
    // Without an early exit the compiler vectorizes the loop.
    if value
        .iter()
        .fold(false, |found, &byte| found | !is_text(byte))
    {
        return Err("a header value holds a control character");
    }
    Ok((name, trim(value)))
}

/// Trims optional whitespace: spaces and tabs only (RFC 9110, 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A header that decides where a message ends or which host it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FramingName {
    Host,
    ContentLength,
    TransferEncoding,
}

/// The framing header that a name stands for. A name that only some servers read as one, such as
/// `Content_Length`, is refused: it is never sent by accident.
pub(super) fn framing_name(name: &[u8]) -> Result<Option<FramingName>, Damage> {
    let (known, found) = match name.len() {
        4 => ("host", FramingName::Host),
        14 => ("content-length", FramingName::ContentLength),
        17 => ("transfer-encoding", FramingName::TransferEncoding),
        _ => return Ok(None),
    };
    if name.eq_ignore_ascii_case(known.as_bytes()) {
        return Ok(Some(found));
    }
    if same_folded(name, known) {
        return Err("a header name imitates a framing header");
    }
    Ok(None)
}

/// Parses digits alone: some servers read `+5` as 5 and `05` as octal, and overflow above 2^63 - 1.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty()
        && value.len() <= 19
        && value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || value.first() != Some(&b'0'));
    let digits = plain.then(|| std::str::from_utf8(value).ok()).flatten()?;
    digits.parse::<i64>().ok()?.try_into().ok()
}

/// Whether a byte is allowed in a header name (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = tokens();
    TOKENS[usize::from(byte)]
}

/// Whether a byte is allowed in a line: any but control characters other than tab.
#[must_use]
pub fn is_text(byte: u8) -> bool {
    (byte >= 0x20 || byte == b'\t') && byte != 0x7f
}

const fn tokens() -> [bool; 256] {
    let mut tokens = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        let delimiter = matches!(
            byte,
            b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'[' | b'\\' | b']' | b'{' | b'}'
        );
        tokens[byte as usize] = !delimiter;
        byte += 1;
    }
    tokens
}
