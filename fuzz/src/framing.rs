//! Framing: a head that passes says one thing to every reader, however its bytes arrive, and a
//! chunked body ends where a plain reading of RFC 9112 says. Input: sizes of the pieces in which
//! the bytes arrive, then a request.

use skeygate::http::framing::{Chunks, Framing, HeadError, HeadReader, MAX_FIELDS};

use super::text::{self, folded};

/// As little as shows what a larger limit does.
pub(crate) const MAX_HEAD: usize = 2048;

/// See the module.
pub fn check(data: &[u8]) {
    let (sizes, bytes) = text::first_line(data);
    let whole = HeadReader::default().read(bytes, MAX_HEAD);
    assert_eq!(
        in_pieces(bytes, sizes),
        whole.ok(),
        "the pieces make a difference"
    );
    match whole {
        Err(HeadError::Malformed(said)) => assert!(said.is_ascii() && !said.is_empty()),
        Err(HeadError::TargetTooLong | HeadError::HeadTooLarge | HeadError::TooSlow) => {}
        Ok(None) => assert!(bytes.len() <= MAX_HEAD, "waits for more than a head may be"),
        Ok(Some((length, framing))) => {
            let (head, behind) = bytes.split_at(length);
            assert!(length <= MAX_HEAD);
            let message = Message::of(head);
            assert_eq!(message.framing(), framing, "framed otherwise");
            httparse_agrees(head, &message);
            // Bytes after a head change nothing in it.
            let alone = HeadReader::default().read(head, MAX_HEAD);
            assert_eq!(alone, Ok(Some((length, framing))));
            chunked(behind, sizes);
        }
    }
    chunked(bytes, sizes);
}

/// The verdict when the bytes come in pieces; `None` for a refusal, whose reason may come earlier.
fn in_pieces(bytes: &[u8], sizes: &[u8]) -> Option<Option<(usize, Framing)>> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    let mut sizes = sizes.iter().map(|size| usize::from(*size) % 64);
    loop {
        end = sizes
            .next()
            .map_or(bytes.len(), |size| (end + size).min(bytes.len()));
        match reader.read(&bytes[..end], MAX_HEAD) {
            Ok(None) if end < bytes.len() => {}
            Ok(verdict) => return Some(verdict),
            Err(_) => return None,
        }
    }
}

/// The end of a chunked body, once found, is where another reader finds it, and where it is found
/// in pieces.
fn chunked(bytes: &[u8], sizes: &[u8]) {
    let whole = Chunks::default().read(bytes);
    let mut reader = Chunks::default();
    let (mut read, mut rest, mut ended) = (0, bytes, Ok(false));
    for size in sizes
        .iter()
        .map(|size| usize::from(*size) % 64)
        .chain([bytes.len()])
    {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        ended = match reader.read(piece) {
            Ok((taken, ended)) => {
                read += taken;
                Ok(ended)
            }
            Err((good, damage)) => Err((read + good, damage)),
        };
        if ended != Ok(false) {
            break;
        }
        rest = after;
    }
    assert_eq!(
        ended.map(|ended| (read, ended)),
        whole,
        "the pieces make a difference"
    );
    match whole {
        Ok((length, true)) => {
            let found = decode(bytes, Padding::None).map(|(_, length)| length);
            assert_eq!(found, Some(length), "another reader ends elsewhere");
        }
        Ok((length, false)) => assert_eq!(length, bytes.len(), "bytes were passed over"),
        Err(_) => {}
    }
}

/// A head, taken apart as plainly as can be.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a [u8],
    pub(crate) is_http_10: bool,
    pub(crate) fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Of a head that was accepted; panics where it should not have been.
    pub(crate) fn of(mut head: &'a [u8]) -> Self {
        while let Some(rest) = head.strip_prefix(b"\r\n") {
            head = rest;
        }
        let head = head.strip_suffix(b"\r\n\r\n");
        let head = head.unwrap_or_else(|| panic!("a head ends with an empty line"));
        let mut lines = Vec::new();
        let mut rest = head;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        lines.push(rest);
        for line in &lines {
            let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
            assert!(
                !line.iter().any(control),
                "a control character, or half a line end"
            );
            assert!(!line.is_empty(), "an empty line inside a head");
        }
        let parts: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
        let [method, target, version] = parts[..] else {
            panic!("a request line has three parts");
        };
        assert!(matches!(version, b"HTTP/1.1" | b"HTTP/1.0"));
        assert!(!target.is_empty() && !target.contains(&b'#') && !target.contains(&b'\t'));
        assert!(lines.len() - 1 <= MAX_FIELDS);
        let fields = lines[1..].iter().map(|line| {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or_else(|| panic!("no colon")));
            (token(name), trim(&value[1..]))
        });
        Self {
            method: token(method),
            target,
            is_http_10: version == b"HTTP/1.0",
            fields: fields.collect(),
        }
    }

    /// The framing for every reader: one length, or one `chunked`, or neither; at most one host;
    /// and no name that some server folds to one of them.
    pub(crate) fn framing(&self) -> Framing {
        let mut framing = Framing::Empty;
        let mut seen = Vec::new();
        for (name, value) in &self.fields {
            let name = name.to_ascii_lowercase();
            let known = ["host", "content-length", "transfer-encoding"];
            if !known.contains(&folded(&name).as_str()) {
                continue;
            }
            assert!(
                known.contains(&name.as_str()),
                "`{name}` imitates a framing header"
            );
            assert!(!seen.contains(&name), "`{name}` twice");
            if name == "content-length" {
                let text = String::from_utf8_lossy(value);
                let length = text.parse::<u64>();
                assert!(
                    length
                        .as_ref()
                        .is_ok_and(|length| length.to_string() == text)
                );
                framing = match length {
                    Ok(0) | Err(_) => Framing::Empty,
                    Ok(length) => Framing::Length(length),
                };
            }
            if name == "transfer-encoding" {
                assert!(value.eq_ignore_ascii_case(b"chunked") && !self.is_http_10);
                framing = Framing::Chunked;
            }
            seen.push(name);
        }
        let both = |one: &str, other: &str| {
            seen.iter().any(|name| name == one) && seen.iter().any(|name| name == other)
        };
        assert!(!both("content-length", "transfer-encoding"), "two framings");
        framing
    }
}

/// Bytes allowed after the digits of a chunk size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Nothing.
    None,
    /// Blanks and tabs, as some services write them.
    Blanks,
}

/// Data and length of a chunked body, by a plain reading; `None` where it is none or not whole.
pub(crate) fn decode(bytes: &[u8], padding: Padding) -> Option<(Vec<u8>, usize)> {
    let line_end = |from: usize| {
        let rest = bytes.get(from..)?;
        Some(from + rest.windows(2).position(|pair| pair == b"\r\n")?)
    };
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let end = line_end(at)?;
        let line = std::str::from_utf8(bytes[at..end].split(|byte| *byte == b';').next()?).ok()?;
        let line = match padding {
            Padding::None => line,
            Padding::Blanks => line.trim_end_matches([' ', '\t']),
        };
        let all_digits = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(line, 16)
            .ok()
            .filter(|_| all_digits)?;
        at = end + 2;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let end = line_end(at)?;
        let is_last = end == at;
        at = end + 2;
        if is_last {
            return Some((data, at));
        }
    }
}

fn httparse_agrees(head: &[u8], message: &Message<'_>) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let read = request.parse(head);
    assert_eq!(read, Ok(httparse::Status::Complete(head.len())));
    assert_eq!(request.method, Some(message.method));
    assert_eq!(request.path.map(str::as_bytes), Some(message.target));
    assert_eq!(request.version, Some(u8::from(!message.is_http_10)));
    let others: Vec<(&str, &[u8])> = request
        .headers
        .iter()
        .map(|field| (field.name, field.value))
        .collect();
    assert_eq!(others, message.fields);
}

fn token(name: &[u8]) -> &str {
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    assert!(!name.is_empty() && name.iter().all(fine), "not a token");
    std::str::from_utf8(name).unwrap_or_default()
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
