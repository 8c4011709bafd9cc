//! HTTP/2 by the byte: frames of any kind in any order, header blocks with nothing compressed, and
//! what came back, frame by frame.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::within;

/// What a client with prior knowledge sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// The setting of the first window of each stream.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// The codes of RST_STREAM and GOAWAY.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let code = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(code.try_into().expect("four bytes")))
    }

    /// The status that a HEADERS frame begins with, where it is written out: the first of its kind
    /// on a connection.
    pub(crate) fn status(&self) -> Option<u16> {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        if self.kind != HEADERS {
            return None;
        }
        let first = *self.payload.first()?;
        if let Some(index) = first.checked_sub(0x88) {
            return INDEXED.get(usize::from(index)).copied();
        }
        let length = *self.payload.get(1)?;
        let text = self.payload.get(2..2 + usize::from(length & 0x7f))?;
        if length & 0x80 == 0 {
            return std::str::from_utf8(text).ok()?.parse().ok();
        }
        digits(text)
    }
}

/// Three digits in the code of RFC 7541, appendix B: 0 to 2 have five bits, the others six.
fn digits(coded: &[u8]) -> Option<u16> {
    let bits = coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let value = |bits: &[u8]| {
            bits.iter()
                .fold(0, |value, bit| value << 1 | u16::from(*bit))
        };
        let five = value(bits.get(at..at + 5)?);
        let (digit, width) = if five < 3 {
            (five, 5)
        } else {
            (value(bits.get(at..at + 6)?).checked_sub(22)?, 6)
        };
        at += width;
        number = number * 10 + digit;
    }
    Some(number)
}

/// A frame, whatever is in it.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).expect("a frame of less than 16 MiB");
    let [_, high, middle, low] = length.to_be_bytes();
    let head = [high, middle, low, kind, flags];
    [&head, stream.to_be_bytes().as_slice(), payload].concat()
}

/// SETTINGS with these.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let values = values
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, values.collect::<Vec<_>>())
}

/// RST_STREAM with CANCEL.
pub(crate) fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, 8_u32.to_be_bytes())
}

/// WINDOW_UPDATE.
pub(crate) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

/// A header block of literals without indexing (RFC 7541, 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.extend(integer(text.len(), 7, 0));
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of so many bits (RFC 7541, 5.1), below these bits of its first byte.
pub(crate) fn integer(value: usize, prefix: u32, above: u8) -> Vec<u8> {
    let most = (1_usize << prefix) - 1;
    let byte = |value: usize| u8::try_from(value).expect("a byte");
    if value < most {
        return vec![above | byte(value)];
    }
    let mut bytes = vec![above | byte(most)];
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    bytes.push(byte(rest));
    bytes
}

/// The block of a request.
pub(crate) fn request_block(method: &str, path: &str) -> Vec<u8> {
    block(&[
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "gateway.test"),
    ])
}

/// A GET in one frame.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let flags = END_STREAM | END_HEADERS;
    frame(HEADERS, flags, stream, request_block("GET", path))
}

/// The head of a POST whose body follows.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, request_block("POST", path))
}

/// The numbers of a client's streams.
pub(crate) fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// A connection that writes any bytes and reads all frames, even if the test does not.
pub(crate) struct RawH2 {
    writer: OwnedWriteHalf,
    frames: mpsc::UnboundedReceiver<Frame>,
}

impl RawH2 {
    /// Connects and sends the preface.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::with_settings(to, &[]).await
    }

    /// Connects and sends the preface with these settings.
    pub(crate) async fn with_settings(to: SocketAddr, values: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(to).await.expect("connecting");
        let (reader, writer) = stream.into_split();
        let (sender, frames) = mpsc::unbounded_channel();
        tokio::spawn(read(reader, sender));
        let mut connection = Self { writer, frames };
        let hello = [PREFACE, &settings(values)].concat();
        assert!(connection.write(hello).await, "the end at once");
        connection
    }

    /// Writes bytes as they are; false when the other side has ended the connection.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let writing = self.writer.write_all(bytes.as_ref());
        within("bytes to be taken", writing).await.is_ok()
    }

    /// Writes these bytes until the other side ends the connection; gives the number of writes.
    ///
    /// # Panics: when it still takes them after so many times.
    pub(crate) async fn flood(&mut self, times: usize, bytes: impl AsRef<[u8]>) -> usize {
        for done in 0..times {
            if !self.write(bytes.as_ref()).await {
                return done;
            }
        }
        panic!("the connection took it {times} times");
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        within("a frame", self.frames.recv()).await
    }

    /// The next frame of this kind.
    ///
    /// # Panics: when the connection ends before.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await;
            let frame = frame.unwrap_or_else(|| panic!("the end before a frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// All that comes to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// The code of the GOAWAY that ends the connection; `None` when it ends without one.
    pub(crate) async fn end(&mut self) -> Option<u32> {
        let frames = self.rest().await;
        let goaway = frames.iter().rev().find(|frame| frame.kind == GOAWAY);
        goaway.and_then(Frame::code)
    }
}

async fn read(mut reader: OwnedReadHalf, to: mpsc::UnboundedSender<Frame>) {
    loop {
        let mut head = [0; 9];
        if reader.read_exact(&mut head).await.is_err() {
            return;
        }
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        if reader.read_exact(&mut payload).await.is_err() {
            return;
        }
        let stream = u32::from_be_bytes(stream);
        // The test may be over already.
        let _ = to.send(Frame {
            kind,
            flags,
            stream,
            payload,
        });
    }
}
