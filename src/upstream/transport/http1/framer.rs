//! Frames the responses of an upstream connection strictly (RFC 9112). hyper's parser is lenient in
//! places: bare line feeds, lists of equal lengths, empty lines before the status line, any number
//! of interim responses. The framer changes no bytes; a response that two parsers could frame
//! differently is refused before hyper sees it.

use hyper::Method;

use crate::http::framing::{Chunks, Damage, Lines, MAX_FIELDS, content_length, field, is_text};

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Interim (1xx) responses before the final one, at most.
const MAX_INTERIM: u32 = 16;

const VERSION: &[u8] = b"HTTP/1.";
const NO_STATUS_LINE: Damage = "it does not begin with an HTTP/1 status line";

/// The framing state of one connection.
#[derive(Debug)]
pub struct Framer {
    state: State,
    head: Head,
    interim: u32,
    is_for_head: bool,
    reusable: bool,
    fault: Option<Damage>,
}

#[derive(Debug)]
enum State {
    /// No response is due: any byte is a fault.
    Idle,
    /// Inside a head, or before it.
    Head,
    /// Inside a body, with this many bytes left.
    Length(u64),
    Chunked(Chunks),
    /// Inside a body that the end of the connection ends.
    UntilClosed,
    /// After a 101: no longer HTTP.
    Tunnel,
}

/// Which of the bytes read may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of them.
    Pass,
    /// Those before; the rest is a partial head, to be read again together with the next bytes.
    HoldFrom(usize),
    /// Those before; the connection must not be used any more.
    RefuseFrom(usize),
}

/// The framing that a head declares, as far as it was read.
#[derive(Debug, Default)]
struct Head {
    lines: Lines,
    fields: usize,
    /// 0 before the status line.
    status: u16,
    is_http_10: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// A connection without requests so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Idle,
            head: Head::default(),
            interim: 0,
            is_for_head: false,
            reusable: true,
            fault: None,
        }
    }

    /// Expects one response: a request is about to be sent.
    pub fn expect_response(&mut self, method: &Method) {
        self.state = State::Head;
        self.interim = 0;
        self.is_for_head = method == Method::HEAD;
    }

    /// Whether the last response is complete and nothing followed it.
    #[must_use]
    pub fn is_between_responses(&self) -> bool {
        matches!(self.state, State::Idle) && self.reusable && self.fault.is_none()
    }

    /// Whether a response is due or incomplete.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        !matches!(self.state, State::Idle | State::Tunnel)
    }

    /// Excludes the connection from reuse.
    pub fn never_reuse(&mut self) {
        self.reusable = false;
    }

    /// The fault of the response, if it has one.
    #[must_use]
    pub fn fault(&self) -> Option<Damage> {
        self.fault
    }

    /// Reads the next bytes of the connection. Bytes that were held come first in the next call.
    pub fn read(&mut self, bytes: &[u8]) -> Verdict {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.piece(rest) {
                Ok(0) => return Verdict::HoldFrom(at),
                Ok(read) => at += read,
                Err((good, damage)) => {
                    self.fault = Some(damage);
                    return Verdict::RefuseFrom(at + good);
                }
            }
        }
        Verdict::Pass
    }

    /// Reads one head, or the available part of one body; 0 for a partial head.
    fn piece(&mut self, bytes: &[u8]) -> Result<usize, (usize, Damage)> {
        match &mut self.state {
            State::Idle => Err((0, "bytes arrived while no response was due")),
            State::UntilClosed | State::Tunnel => Ok(bytes.len()),
            State::Length(left) => {
                let step = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left = left.saturating_sub(u64::try_from(step).unwrap_or(u64::MAX));
                if *left == 0 {
                    self.state = State::Idle;
                }
                Ok(step)
            }
            State::Chunked(chunks) => {
                let (read, ended) = chunks.read(bytes)?;
                if ended {
                    self.state = State::Idle;
                }
                Ok(read)
            }
            State::Head => self.head(bytes).map_err(|damage| (0, damage)),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Damage> {
        // Checked with the first bytes: bytes other than HTTP may never end a head.
        if !bytes.iter().zip(VERSION).all(|(byte, due)| byte == due) {
            return Err(NO_STATUS_LINE);
        }
        let whole = self.head.read(bytes)?;
        if self.head.lines.position() > MAX_HEAD || (!whole && bytes.len() >= MAX_HEAD) {
            return Err("its head is over 64 KiB");
        }
        if !whole {
            return Ok(0);
        }
        let head = std::mem::take(&mut self.head);
        if head.chunked && head.length.is_some() {
            return Err("it has both Content-Length and Transfer-Encoding");
        }
        if head.chunked && head.is_http_10 {
            return Err("it has a transfer coding in HTTP/1.0");
        }
        self.begin_body(&head)?;
        Ok(head.lines.position())
    }

    fn begin_body(&mut self, head: &Head) -> Result<(), Damage> {
        self.state = match head.status {
            101 => State::Tunnel,
            100..=199 => {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err("more than 16 interim responses came before the final one");
                }
                State::Head
            }
            // A server that declares a body on 204 or 304 is likely to send it, perhaps late.
            204 | 304 => {
                self.reusable &= !head.chunked && head.length.is_none_or(|it| it == 0);
                State::Idle
            }
            _ if self.is_for_head => State::Idle,
            _ if head.chunked => State::Chunked(Chunks::of_answer()),
            _ => match head.length {
                Some(0) => State::Idle,
                Some(length) => State::Length(length),
                None => State::UntilClosed,
            },
        };
        Ok(())
    }
}

/// Reads a status line: the minor version, as a digit, and the status.
fn status(line: &[u8]) -> Result<(u8, u16), Damage> {
    let rest = line.strip_prefix(VERSION).ok_or(NO_STATUS_LINE)?;
    let &[minor @ (b'0' | b'1'), b' ', ref rest @ ..] = rest else {
        return Err("its version is neither HTTP/1.0 nor HTTP/1.1");
    };
    let (digits, reason) = rest.split_at_checked(3).unwrap_or_default();
    let number = digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        Some(number * 10 + digit)
    });
    let Some(status @ 100..=999) = number else {
        return Err("its status is no number from 100 to 999");
    };
    if !matches!(reason.first(), None | Some(b' ')) {
        return Err("its status is no number from 100 to 999");
    }
    if !reason.iter().all(|byte| is_text(*byte)) {
        return Err("its status line holds a control character");
    }
    Ok((minor, status))
}

impl Head {
    /// Reads further lines; `true` once the head is complete.
    fn read(&mut self, bytes: &[u8]) -> Result<bool, Damage> {
        while let Some((_, line)) = self.lines.next(bytes)? {
            if self.status == 0 {
                let (minor, status) = status(line)?;
                (self.is_http_10, self.status) = (minor == b'0', status);
            } else if line.is_empty() {
                return Ok(true);
            } else {
                self.field(line)?;
            }
        }
        Ok(false)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Damage> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err("its head has more than 100 lines");
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length =
                content_length(value).ok_or("its Content-Length is not one plain number")?;
            if self.length.replace(length).is_some() {
                return Err("it has more than one Content-Length");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("its transfer coding is not one chunked");
            }
            self.chunked = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(method: &Method) -> Framer {
        let mut framer = Framer::new();
        framer.expect_response(method);
        framer
    }

    #[test]
    fn a_response_ends_at_its_declared_end_and_further_bytes_end_reuse() {
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 \r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:1\r\n\r\nx",
        ] {
            let mut framer = expecting(&Method::GET);
            assert_eq!(
                framer.read(response.as_bytes()),
                Verdict::Pass,
                "{response}"
            );
            assert!(framer.is_between_responses(), "{response}");
            assert_eq!(framer.read(b"\r\n"), Verdict::RefuseFrom(0));
            let mut framer = expecting(&Method::GET);
            let more = format!("{response}HTTP/1.1 200 OK\r\n\r\n");
            assert_eq!(
                framer.read(more.as_bytes()),
                Verdict::RefuseFrom(response.len()),
                "{response}"
            );
            assert!(!framer.is_between_responses());
        }
    }

    #[test]
    fn a_connection_with_an_unfinished_request_is_never_reused() {
        let mut framer = expecting(&Method::POST);
        assert!(framer.is_in_progress());
        framer.never_reuse();
        let response = b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(framer.read(response), Verdict::Pass);
        assert!(!framer.is_in_progress());
        assert!(!framer.is_between_responses());
    }

    #[test]
    fn a_partial_head_is_held_until_it_is_complete() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let head = response.len() - 2;
        let mut framer = expecting(&Method::GET);
        for length in 1..head {
            assert_eq!(framer.read(&response[..length]), Verdict::HoldFrom(0));
        }
        assert_eq!(framer.read(&response[..head]), Verdict::Pass);
        assert_eq!(framer.read(&response[head..]), Verdict::Pass);
        assert!(framer.is_between_responses());
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        let both = [interim.as_slice(), b"HTTP/1.1 2"].concat();
        let mut framer = expecting(&Method::GET);
        assert_eq!(framer.read(&both), Verdict::HoldFrom(interim.len()));
    }

    #[test]
    fn a_response_to_head_has_no_body_and_a_body_declared_on_204_or_304_ends_reuse() {
        let mut framer = expecting(&Method::HEAD);
        framer.read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        assert!(framer.is_between_responses());
        for (head, again) in [
            ("HTTP/1.1 304 Not Modified\r\n\r\n", true),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", true),
        ] {
            let mut framer = expecting(&Method::GET);
            assert_eq!(framer.read(head.as_bytes()), Verdict::Pass);
            assert_eq!(framer.is_between_responses(), again, "{head}");
        }
    }

    #[test]
    fn after_101_or_without_a_length_everything_passes() {
        for head in ["HTTP/1.1 101 S\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let mut framer = expecting(&Method::GET);
            assert_eq!(framer.read(head.as_bytes()), Verdict::Pass);
            assert_eq!(framer.read(b"\n\0anything"), Verdict::Pass);
            assert!(!framer.is_between_responses());
        }
    }
}
