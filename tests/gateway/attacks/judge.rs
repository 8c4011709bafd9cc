//! Compares the bytes sent to the upstream with the requests it may receive. Reads the bytes by
//! itself and strictly: nothing is trimmed, folded or forgiven.

use super::case::{Clean, Told};
use crate::support::upstream::Recorded;

/// The user of the cases and the identity headers of their requests.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Under which names, in lower case.
    pub(super) headers: Vec<(String, String)>,
}

type Lines = Vec<(String, Vec<u8>)>;

/// Whether this is the request, exactly: its lines, its body, its trailers.
pub(super) fn is_clean(seen: &Recorded, want: &Clean, known: &Known) -> Result<(), String> {
    let (start, mut lines) = read(&seen.head.raw)?;
    let expected = format!("{} HTTP/1.1", want.start);
    same("the request line", &start, &expected)?;
    take_one(&mut lines, "x-request-id", is_request_id)?;
    take_one(&mut lines, "traceparent", |value| value.len() == 55)?;
    lines.sort();
    same(
        "the headers",
        &shown(&lines),
        &shown(&expected_lines(want, known)),
    )?;
    same(
        "the body",
        &seen.text(),
        &String::from_utf8_lossy(&want.body).into_owned(),
    )?;
    let mut trailers = seen.trailers.0.clone();
    trailers.sort();
    let expected: Vec<_> = want
        .trailers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    same("the trailers", &trailers, &expected)
}

/// Whether a head that never became a request is one that we would write.
pub(super) fn is_well_formed(head: &[u8]) -> Result<(), String> {
    let (_, lines) = read(head)?;
    let framings = ["content-length", "transfer-encoding"];
    let count = |names: &[&str]| {
        let named = lines
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        named.count()
    };
    same("framings", &count(&framings).min(2), &1)?;
    same("hosts", &count(&["host"]), &1)?;
    let hop = [
        "connection",
        "te",
        "upgrade",
        "keep-alive",
        "proxy-connection",
    ];
    same("hop-by-hop headers", &count(&hop), &0)
}

/// The headers of an honest request, sorted: those of the client, and those of the gateway.
fn expected_lines(want: &Clean, known: &Known) -> Lines {
    let mut lines: Lines = vec![
        ("x-forwarded-for".to_owned(), b"127.0.0.1".to_vec()),
        ("x-forwarded-proto".to_owned(), b"http".to_vec()),
    ];
    let mut add = |name: &str, value: &[u8]| lines.push((name.to_owned(), value.to_vec()));
    add("host", want.host.as_bytes());
    add("x-forwarded-host", want.host.as_bytes());
    match want.framing {
        Told::Nothing => {}
        Told::Length => add("content-length", want.body.len().to_string().as_bytes()),
        Told::Chunked => add("transfer-encoding", b"chunked"),
    }
    for (name, value) in &want.headers {
        add(name, value);
    }
    if want.known {
        for (name, value) in &known.headers {
            add(name, value.as_bytes());
        }
    }
    lines.sort();
    lines
}

/// Start line and header lines of a head.
fn read(raw: &[u8]) -> Result<(String, Lines), String> {
    let text: Vec<&[u8]> = split_lines(raw)?;
    let (start, rest) = text.split_first().ok_or("an empty head")?;
    let start = String::from_utf8_lossy(start).into_owned();
    let words: Vec<&str> = start.split(' ').collect();
    if words.len() != 3 || start.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
        return Err(format!("the request line {start:?}"));
    }
    let lines = rest.iter().map(|line| header(line));
    Ok((start.clone(), lines.collect::<Result<Lines, String>>()?))
}

/// Every line ends with CR LF, the head with an empty one, and neither character stands anywhere
/// else.
fn split_lines(raw: &[u8]) -> Result<Vec<&[u8]>, String> {
    let wrong = || format!("line ends in {:?}", String::from_utf8_lossy(raw));
    let body = raw.strip_suffix(b"\r\n\r\n").ok_or_else(wrong)?;
    let mut lines = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let last = lines.len() == body.iter().filter(|byte| **byte == b'\n').count();
        let line = if last {
            line
        } else {
            line.strip_suffix(b"\r").ok_or_else(wrong)?
        };
        if line.contains(&b'\r') {
            return Err(wrong());
        }
        lines.push(line);
    }
    Ok(lines)
}

/// `name: value` as hyper writes it: a token in lower case without `_`, one blank, no blanks around
/// the value.
fn header(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let wrong = |what: &str| format!("{what} in {:?}", String::from_utf8_lossy(line));
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or_else(|| wrong("no colon"))?);
    let token = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^`|~".contains(byte)
    };
    if name.is_empty() || !name.iter().all(token) {
        return Err(wrong("a name that is not ours"));
    }
    let value = value.strip_prefix(b": ").or(value.strip_prefix(b":"));
    let value = value.unwrap_or_default();
    let control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
    if value.iter().any(control) || value.trim_ascii() != value {
        return Err(wrong("a value that is not ours"));
    }
    let name = String::from_utf8_lossy(name).into_owned();
    Ok((name, value.to_vec()))
}

fn take_one(lines: &mut Lines, name: &str, fits: impl Fn(&[u8]) -> bool) -> Result<(), String> {
    let all = lines.len();
    let mut good = true;
    lines.retain(|(other, value)| {
        let same = other == name;
        good &= !same || fits(value);
        !same
    });
    match all - lines.len() {
        1 if good => Ok(()),
        count => Err(format!("{count} of {name}, or a malformed one")),
    }
}

fn is_request_id(value: &[u8]) -> bool {
    value.len() == 32 && value.iter().all(u8::is_ascii_hexdigit)
}

fn shown(lines: &Lines) -> Vec<String> {
    let line = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", value.escape_ascii());
    lines.iter().map(line).collect()
}

/// The two are equal, or a sentence that tells them apart.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    is: &T,
    should: &T,
) -> Result<(), String> {
    match is == should {
        true => Ok(()),
        false => Err(format!("{what}: {is:?} instead of {should:?}")),
    }
}
