//! One attack over HTTP/2 with prior knowledge: frames, and what becomes of their streams and of
//! the connection.

use super::hpack;
use crate::attacks::case::{Case, Clean};

/// `END_STREAM`, and `ACK` of SETTINGS and PING.
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITY: u8 = 32;

/// Frame types (RFC 9113, 6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Placeholder for the user's skey in a header block: as long as an skey, because lengths are
/// counted before the replacement.
pub(super) const SKEY: &str = "(the skey of the user, of as many letters.)";

/// Error codes (RFC 9113, 7). The library says `PROTOCOL_ERROR` for nearly all that ends a
/// connection.
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;

/// An attack. Unless it ends the connection, the connection stays in use.
#[derive(Debug, Clone)]
pub(in crate::attacks) struct Attack {
    /// Name, frames, and the requests the upstream may see.
    pub(in crate::attacks) case: Case,
    /// The outcome due to the client.
    pub(super) outcomes: Vec<Outcome>,
    /// The frames come right behind the preface, without SETTINGS.
    pub(super) no_settings: bool,
}

/// The outcome due to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The stream is reset with this code.
    Reset(u32, u32),
    /// The gateway's own refusal on this stream: status, `X-Gateway-Error`.
    Refusal(u32, u16, &'static str),
    /// The upstream's answer on this stream, to this target.
    Passed(u32, String),
    /// The connection is closed with this code.
    GoAway(u32),
}

impl Attack {
    /// These frames behind the preface and our SETTINGS.
    pub(super) fn new(name: impl Into<String>, frames: &[Vec<u8>]) -> Self {
        let name: String = name.into();
        Self {
            case: Case::new(format!("HTTP/2: {name}"), frames.concat()),
            outcomes: Vec::new(),
            no_settings: false,
        }
    }

    /// The stream is malformed: `RST_STREAM` with `PROTOCOL_ERROR`, and the connection goes on (RFC
    /// 9113, 8.1.1).
    pub(super) fn malformed(mut self) -> Self {
        self.outcomes.push(Outcome::Reset(1, PROTOCOL_ERROR));
        self
    }

    /// Malformed in a name or a value itself: the library ends the whole connection, which it may
    /// (RFC 9113, 5.4).
    pub(super) fn broken(self) -> Self {
        self.go_away(PROTOCOL_ERROR)
    }

    /// Malformed in its body: the head may be at the upstream by then; the request never is.
    pub(super) fn damaged(mut self) -> Self {
        self.case.may_be_cut = true;
        self.malformed()
    }

    /// Stream 1 is answered with a refusal.
    pub(super) fn refused(mut self, status: u16, error: &'static str) -> Self {
        self.outcomes.push(Outcome::Refusal(1, status, error));
        self
    }

    /// The connection ends with this code.
    pub(super) fn go_away(mut self, code: u32) -> Self {
        self.outcomes.push(Outcome::GoAway(code));
        self
    }

    /// As `go_away`; a request that came before it may have reached the upstream in part.
    pub(super) fn gone(mut self, code: u32) -> Self {
        self.case.may_be_cut = true;
        self.go_away(code)
    }

    /// The stream is passed on as this request, and answered.
    pub(super) fn passed(mut self, stream: u32, clean: Clean) -> Self {
        let target = clean.start.split(' ').nth(1).expect("a target").to_owned();
        self.outcomes.push(Outcome::Passed(stream, target));
        self.case.saw.push(clean);
        self
    }
}

/// A frame of stream `stream`.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let length = length.to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, stream.to_be_bytes().as_slice(), payload].concat()
}

/// HEADERS with END_HEADERS.
pub(super) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let bytes: Vec<(&[u8], &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    frame(HEADERS, flags | END_HEADERS, stream, &hpack::block(&bytes))
}

/// DATA.
pub(super) fn data(stream: u32, flags: u8, bytes: &str) -> Vec<u8> {
    frame(DATA, flags, stream, bytes.as_bytes())
}

/// The pseudo-headers of a request, and further fields.
pub(super) fn request<'a>(
    method: &'a str,
    target: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "g"),
        (":path", target),
    ];
    fields.extend(more);
    fields
}

/// HEADERS of a whole GET on stream 1.
pub(super) fn get(target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM, &request("GET", target, more))
}

/// HEADERS of a POST on stream 1 whose body comes.
pub(super) fn post(more: &[(&str, &str)]) -> Vec<u8> {
    headers(1, 0, &request("POST", "/open/a", more))
}
