//! The head of one request, and the framing that it decides.

use std::ops::Range;

use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use memchr::memchr;

use super::lines::{FramingName, Lines, content_length, field, framing_name, is_text, is_token};
use super::{Framing, HeadError, MAX_FIELDS, MAX_TARGET};

/// Reads one head as its bytes arrive.
#[derive(Debug, Default)]
pub struct HeadReader {
    lines: Lines,
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
    /// Continues with a head whose bytes so far are `bytes`: all of them each time, however many
    /// are new. Returns the head's length in bytes and its framing once it is complete; bytes
    /// behind it are not read.
    ///
    /// # Errors
    /// Why the head is refused. A head of more than `max` bytes is; an incomplete line is not
    /// checked.
    pub fn read(
        &mut self,
        bytes: &[u8],
        max: usize,
    ) -> Result<Option<(usize, Framing)>, HeadError> {
        while let Some((start, line)) = self.lines.next(bytes)? {
            let end = self.lines.position();
            if end > max {
                return Err(self.too_large());
            }
            match &self.request_line {
                // Old clients send a line end behind a body (RFC 9112, 2.2).
                None if line.is_empty() => {}
                None => self.request_line = Some(request_line(line, start)?),
                Some(_) if line.is_empty() => return Ok(Some((end, self.framing()))),
                Some(_) => self.field(line)?,
            }
        }
        if bytes.len() > max {
            return Err(self.too_large());
        }
        self.check_beginning(bytes)?;
        Ok(None)
    }

    /// Whether the `length` bytes that were read are empty lines alone.
    #[must_use]
    pub fn is_blank(&self, length: usize) -> bool {
        self.request_line.is_none() && self.lines.position() == length
    }

    /// Method and path of the request line, once it has been read.
    #[must_use]
    pub fn line(&self, bytes: &[u8]) -> Option<(Method, String)> {
        let RequestLine { method, target, .. } = self.request_line.as_ref()?;
        let method = Method::from_bytes(bytes.get(method.clone())?).ok()?;
        let target = std::str::from_utf8(bytes.get(target.clone())?).ok()?;
        let path = target.split(['?', '#']).next().unwrap_or_default();
        Some((method, path.to_owned()))
    }

    fn too_large(&self) -> HeadError {
        if self.request_line.is_none() {
            HeadError::TargetTooLong
        } else {
            HeadError::HeadTooLarge
        }
    }

    /// Refuses an incomplete line that can be no request line: a protocol other than HTTP may never
    /// send a line end.
    fn check_beginning(&self, bytes: &[u8]) -> Result<(), HeadError> {
        if self.request_line.is_none() {
            let begun = bytes.get(self.lines.position()..).unwrap_or_default();
            let begun = begun.strip_suffix(b"\r").unwrap_or(begun);
            if !begun.iter().all(|&byte| is_text(byte)) {
                return Err(REQUEST_LINE);
            }
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), HeadError> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(HeadError::HeadTooLarge);
        }
        let (name, value) = field(line)?;
        match framing_name(name)? {
            None => {}
            Some(FramingName::Host) if self.host => {
                return Err(HeadError::Malformed("the request names more than one host"));
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
                    return Err(HeadError::Malformed(
                        "the transfer coding is not one final chunked",
                    ));
                }
                self.chunked = true;
            }
        }
        if self.chunked && self.length.is_some() {
            return Err(HeadError::Malformed(
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

const CONTENT_LENGTH_PROBLEM: HeadError =
    HeadError::Malformed("the content length is not one plain number");
const REQUEST_LINE: HeadError = HeadError::Malformed("the request line is malformed");

/// Checks an HTTP/2 head by the rules that still apply where frames end a message.
///
/// # Errors
/// Why the head is refused.
pub fn check_http2(parts: &Parts) -> Result<(), HeadError> {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Err(HeadError::TargetTooLong);
    }
    if parts.headers.len() > MAX_FIELDS {
        return Err(HeadError::HeadTooLarge);
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let is_plain = |length: &HeaderValue| content_length(length.as_bytes()).is_some();
    if lengths.next().is_some_and(|length| !is_plain(length)) || lengths.next().is_some() {
        return Err(CONTENT_LENGTH_PROBLEM);
    }
    Ok(())
}

/// Checks a head that was never sent as bytes by the rules of HTTP/1, as if it had been.
///
/// # Errors
/// Why the head would be refused.
pub fn check_written_out(parts: &Parts, max: usize) -> Result<(), HeadError> {
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

/// Parses exactly `method SP target SP HTTP/1.x`; `start` is where the line begins.
fn request_line(line: &[u8], start: usize) -> Result<RequestLine, HeadError> {
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
        return Err(HeadError::TargetTooLong);
    }
    if !is_target(target) {
        return Err(HeadError::Malformed("the request target is malformed"));
    }
    let target_start = start + blank + 1;
    Ok(RequestLine {
        method: start..start + blank,
        target: target_start..target_start + target.len(),
        is_http_10,
    })
}

/// Whether every server reads the target alike. A fragment is refused: some servers cut it off,
/// others route by it.
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

/// Parts of a target in which a byte is allowed.
const PATH: u8 = 1;
const QUERY: u8 = 2;

fn class(byte: u8) -> u8 {
    const CLASSES: [u8; 256] = classes();
    CLASSES[usize::from(byte)]
}

/// Wider than RFC 3986, as browsers are: a character that is forbidden in a path is refused later,
/// by name.
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte: u8 = 0xff;
    while byte > b' ' {
        if !matches!(byte, b'#' | b'<' | b'>' | 0x7f) {
            let path = if matches!(byte, b'?' | b'`') { 0 } else { PATH };
            let query = if byte == b'"' { 0 } else { QUERY };
            classes[byte as usize] = path | query;
        }
        byte -= 1;
    }
    classes
}
