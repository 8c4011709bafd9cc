//! Where a request of HTTP/1 ends, read strictly from its bytes before anything else reads them. What two servers could read
//! differently is refused (RFC 9112), so that whoever reads it after us cannot but agree.

mod chunks;

use std::ops::Range;

use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use memchr::memchr;

pub use self::chunks::Chunks;

/// Header or trailer lines of one message, at most.
pub const MAX_FIELDS: usize = 100;
/// Bytes of a request target, at most.
pub const MAX_TARGET: usize = 8 * 1024;

/// Why a request goes no further than its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP, or HTTP that two servers could frame differently; the text is constant and may be shown.
    Malformed(&'static str),
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

/// Reads one head, as its bytes come.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Where the line begins that is not complete yet.
    line_start: usize,
    /// Up to where line ends were looked for.
    searched: usize,
    fields: usize,
    request_line: Option<RequestLine>,
    length: Option<u64>,
    chunked: bool,
    host: bool,
}

#[derive(Debug)]
struct RequestLine {
    method: Range<usize>,
    target: Range<usize>,
    is_http_10: bool,
}

impl HeadReader {
    /// Goes on with a head whose bytes so far are `bytes`: all of them each time, however many are new. Gives the head's length in
    /// bytes and its framing once it is complete; what is behind it is not looked at.
    ///
    /// # Errors
    /// Why it is refused. A head of more than `max` bytes is; an end of line is looked at when it has come.
    pub fn read(&mut self, bytes: &[u8], max: usize) -> Result<Option<(usize, Framing)>, Refusal> {
        loop {
            let new = bytes.get(self.searched..).unwrap_or_default();
            let found = memchr(b'\n', new).map(|found| self.searched + found);
            if found.map_or(bytes.len(), |end| end + 1) > max {
                return Err(self.too_large());
            }
            let Some(end) = found else {
                self.searched = bytes.len();
                self.check_beginning(bytes)?;
                return Ok(None);
            };
            let line = bytes.get(self.line_start..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(Refusal::Malformed(
                    "a line of the head ends in a bare line feed",
                ));
            };
            let start = self.line_start;
            (self.line_start, self.searched) = (end + 1, end + 1);
            match &self.request_line {
                // Old clients send a line end behind a body (RFC 9112, 2.2).
                None if line.is_empty() => {}
                None => self.request_line = Some(request_line(line, start)?),
                Some(_) if line.is_empty() => return Ok(Some((end + 1, self.framing()))),
                Some(_) => self.field(line)?,
            }
        }
    }

    /// Method and path of what has been read.
    #[must_use]
    pub fn line(&self, bytes: &[u8]) -> Option<(Method, String)> {
        let RequestLine { method, target, .. } = self.request_line.as_ref()?;
        let method = Method::from_bytes(bytes.get(method.clone())?).ok()?;
        let target = std::str::from_utf8(bytes.get(target.clone())?).ok()?;
        let path = target.split(['?', '#']).next().unwrap_or_default();
        Some((method, path.to_owned()))
    }

    fn too_large(&self) -> Refusal {
        if self.request_line.is_none() {
            Refusal::TargetTooLong
        } else {
            Refusal::HeadTooLarge
        }
    }

    /// What can be no request line is not waited for: another protocol than HTTP may never send a line end.
    fn check_beginning(&self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.request_line.is_none() {
            let begun = bytes.get(self.line_start..).unwrap_or_default();
            let begun = begun.strip_suffix(b"\r").unwrap_or(begun);
            if begun.iter().any(|&byte| is_control(byte)) {
                return Err(REQUEST_LINE);
            }
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Refusal::HeadTooLarge);
        }
        let (name, value) = field(line)?;
        match framing_name(name)? {
            None => {}
            Some(FramingName::Host) if self.host => {
                return Err(Refusal::Malformed("the request names more than one host"));
            }
            Some(FramingName::Host) => self.host = true,
            Some(FramingName::ContentLength) => {
                let length = content_length(value)
                    .filter(|_| self.length.is_none())
                    .ok_or(CONTENT_LENGTH_PROBLEM)?;
                self.length = Some(length);
            }
            Some(FramingName::TransferEncoding) => {
                let is_http_11 = self
                    .request_line
                    .as_ref()
                    .is_some_and(|line| !line.is_http_10);
                if !value.eq_ignore_ascii_case(b"chunked") || self.chunked || !is_http_11 {
                    return Err(Refusal::Malformed(
                        "the transfer coding is not one final chunked",
                    ));
                }
                self.chunked = true;
            }
        }
        if self.chunked && self.length.is_some() {
            return Err(Refusal::Malformed(
                "the request has a content length and a transfer coding",
            ));
        }
        Ok(())
    }

    fn framing(&self) -> Framing {
        match (self.chunked, self.length) {
            (true, _) => Framing::Chunked,
            (false, None | Some(0)) => Framing::Empty,
            (false, Some(length)) => Framing::Length(length),
        }
    }
}

const CONTENT_LENGTH_PROBLEM: Refusal =
    Refusal::Malformed("the content length is not one plain number");
const REQUEST_LINE: Refusal = Refusal::Malformed("the request line is malformed");

/// Holds a head that came over HTTP/2, where frames end a message, to the rules that are left.
///
/// # Errors
/// Why it is refused.
pub fn check_http2(parts: &Parts) -> Result<(), Refusal> {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if parts.headers.len() > MAX_FIELDS {
        return Err(Refusal::HeadTooLarge);
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let is_plain = |length: &HeaderValue| content_length(length.as_bytes()).is_some();
    if lengths.next().is_some_and(|length| !is_plain(length)) || lengths.next().is_some() {
        return Err(CONTENT_LENGTH_PROBLEM);
    }
    Ok(())
}

/// Holds a head that never was bytes to the rules of those that are.
///
/// # Errors
/// Why it would be refused.
pub fn check_written_out(parts: &Parts, max: usize) -> Result<(), Refusal> {
    let mut head = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri).into_bytes();
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    HeadReader::default().read(&head, max).map(|_| ())
}

/// `method SP target SP HTTP/1.x`, exactly; `start` is where the line begins.
fn request_line(line: &[u8], start: usize) -> Result<RequestLine, Refusal> {
    let blank = memchr(b' ', line).ok_or(REQUEST_LINE)?;
    let (method, rest) = line.split_at_checked(blank).ok_or(REQUEST_LINE)?;
    let rest = rest.get(1..).unwrap_or_default();
    let blank_behind = memchr(b' ', rest).ok_or(REQUEST_LINE)?;
    let (target, version) = rest.split_at_checked(blank_behind).ok_or(REQUEST_LINE)?;
    let is_http_10 = match version {
        b" HTTP/1.1" => false,
        b" HTTP/1.0" => true,
        _ => return Err(REQUEST_LINE),
    };
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return Err(REQUEST_LINE);
    }
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if !is_target(target) {
        return Err(Refusal::Malformed("the request target is malformed"));
    }
    let target_start = start + blank + 1;
    Ok(RequestLine {
        method: start..start + blank,
        target: target_start..target_start + target.len(),
        is_http_10,
    })
}

/// A target that reads the same everywhere. A fragment is none: some cut it off, others route by it.
fn is_target(target: &[u8]) -> bool {
    if target.first() != Some(&b'/') {
        return !target.contains(&b'#') && Uri::try_from(target).is_ok();
    }
    let path = memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(path).unwrap_or((target, b""));
    path.iter().all(|&byte| class(byte) & PATH != 0)
        && query.iter().all(|&byte| class(byte) & QUERY != 0)
        && (target.is_ascii() || std::str::from_utf8(target).is_ok())
}

/// Name and value of a header or trailer line, the value without the blanks around it.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if line
        .first()
        .is_some_and(|&byte| matches!(byte, b' ' | b'\t'))
    {
        return Err(Refusal::Malformed("a header line is folded"));
    }
    let colon = memchr(b':', line).ok_or(Refusal::Malformed("a header line has no colon"))?;
    let (name, value) = line.split_at_checked(colon).unwrap_or((line, b""));
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return Err(Refusal::Malformed("a header name is malformed"));
    }
    let value = value.get(1..).unwrap_or_default();
    // Without an early end the compiler looks at many bytes at once.
    if value
        .iter()
        .fold(false, |found, &byte| found | is_control(byte))
    {
        return Err(Refusal::Malformed(
            "a header value holds a control character",
        ));
    }
    Ok((name, trim(value)))
}

/// Optional whitespace is blanks and tabs, no more (RFC 9110, 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A header that says where a message ends or whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramingName {
    Host,
    ContentLength,
    TransferEncoding,
}

/// Which framing header a name is. One that only some servers take for it, such as `Content_Length`, is refused: nobody sends
/// that by accident.
fn framing_name(name: &[u8]) -> Result<Option<FramingName>, Refusal> {
    let (known, found) = match name.len() {
        4 => (&b"host"[..], FramingName::Host),
        14 => (&b"content-length"[..], FramingName::ContentLength),
        17 => (&b"transfer-encoding"[..], FramingName::TransferEncoding),
        _ => return Ok(None),
    };
    if name.eq_ignore_ascii_case(known) {
        return Ok(Some(found));
    }
    let folded = |byte: u8| match byte {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
        _ => b'-',
    };
    if name
        .iter()
        .zip(known)
        .all(|(&byte, &expected)| folded(byte) == expected)
    {
        return Err(Refusal::Malformed(
            "a header name imitates a framing header",
        ));
    }
    Ok(None)
}

/// Digits alone: `+5` is 5 to some, and `05` is octal to others. Above 2^63 - 1 the arithmetic of some ends.
fn content_length(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty()
        && value.len() <= 19
        && value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || value.first() != Some(&b'0'));
    let digits = plain.then(|| std::str::from_utf8(value).ok()).flatten()?;
    digits.parse::<i64>().ok()?.try_into().ok()
}

/// What a byte may stand in.
const CLASSES: [u8; 256] = classes();
const TOKEN: u8 = 1;
const PATH: u8 = 2;
const QUERY: u8 = 4;

/// Tokens are of RFC 9110, 5.6.2. Targets are wider than RFC 3986, as browsers are: what may not be in a path is refused with the
/// path, by name.
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let value = byte as u8;
        let mut class = 0;
        if value.is_ascii_alphanumeric()
            || matches!(
                value,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            class |= TOKEN;
        }
        if matches!(value, 0x21..=0x7e | 0x80..=0xff) && !matches!(value, b'#' | b'<' | b'>') {
            if !matches!(value, b'?' | b'`') {
                class |= PATH;
            }
            if value != b'"' {
                class |= QUERY;
            }
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
}

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

fn is_token(byte: u8) -> bool {
    class(byte) & TOKEN != 0
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests;
