//! Reads HTTP/1.1 messages from a byte stream the plain way, so that the tests depend on no HTTP
//! library's interpretation. A stream that ends or breaks in the middle of a message is an error
//! that says where.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::fields::{Fields, Head};

/// A stream and what was read ahead of it.
#[derive(Debug)]
pub(crate) struct Wire<R> {
    io: R,
    ahead: Vec<u8>,
}

/// One piece of a chunked body.
pub(crate) enum Chunk {
    /// Data, never empty.
    Data(Vec<u8>),
    /// The end, and the trailers.
    End(Fields),
}

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither: no body in a request, all up to the end of the connection in a response.
    Neither,
}

impl Framing {
    /// Reads it off the headers.
    ///
    /// # Panics: when both are there, or the length is no number: neither the gateway nor the tests
    /// may send that.
    pub(crate) fn of(headers: &Fields) -> Self {
        let length = headers.get("content-length");
        match (length, headers.get("transfer-encoding")) {
            (None, None) => Self::Neither,
            (Some(length), None) => Self::Length(length.parse().expect("a decimal length")),
            (None, Some("chunked")) => Self::Chunked,
            both => panic!("ambiguous framing: {both:?}"),
        }
    }
}

impl<R: AsyncRead + Unpin> Wire<R> {
    /// Starts with an empty buffer.
    pub(crate) fn new(io: R) -> Self {
        Self {
            io,
            ahead: Vec::new(),
        }
    }

    /// The next bytes, whatever they are; empty at the end of the stream.
    pub(crate) async fn some(&mut self) -> Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.more().await?;
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Start line and headers; `None` when the stream ended before the first byte.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        let Some(first) = self.line_or_end().await? else {
            return Ok(None);
        };
        let mut raw = first.clone();
        let (headers, lines) = self.fields().await?;
        raw.extend(lines);
        Ok(Some(Head {
            start: text(first.trim_ascii_end()),
            headers,
            raw,
        }))
    }

    /// Exactly `count` bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.more_or("a body").await?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// The next bytes, at least one and at most `limit`.
    pub(crate) async fn at_most(&mut self, limit: usize) -> Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.more_or("a body").await?;
        }
        let count = limit.min(self.ahead.len());
        Ok(self.ahead.drain(..count).collect())
    }

    /// The next chunk of a chunked body.
    pub(crate) async fn chunk(&mut self) -> Result<Chunk> {
        let size = self.line().await?;
        let size = usize::from_str_radix(text(&size).trim_end(), 16)
            .map_err(|_| broken(&format!("chunk size {:?}", text(&size))))?;
        if size == 0 {
            return Ok(Chunk::End(self.fields().await?.0));
        }
        let data = self.exactly(size).await?;
        if self.line().await? != b"\r\n" {
            return Err(broken("bytes behind a chunk"));
        }
        Ok(Chunk::Data(data))
    }

    /// A whole body and its trailers; `until_end` tells that a body without a length goes up to the
    /// end of the stream.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        until_end: bool,
    ) -> Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => body = self.exactly(length).await?,
            Framing::Chunked => loop {
                match self.chunk().await? {
                    Chunk::Data(data) => body.extend(data),
                    Chunk::End(trailers) => return Ok((body, trailers)),
                }
            },
            Framing::Neither if until_end => loop {
                let some = self.some().await?;
                if some.is_empty() {
                    break;
                }
                body.extend(some);
            },
            Framing::Neither => {}
        }
        Ok((body, Fields::default()))
    }

    /// Header lines up to and with the empty one, and their bytes.
    async fn fields(&mut self) -> Result<(Fields, Vec<u8>)> {
        let mut fields = Vec::new();
        let mut raw = Vec::new();
        loop {
            let line = self.line().await?;
            raw.extend(&line);
            if line == b"\r\n" {
                return Ok((Fields(fields), raw));
            }
            let line = text(&line);
            let Some((name, value)) = line.split_once(':') else {
                return Err(broken(&format!("header line {line:?}")));
            };
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The next line with its end.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>> {
        self.line_or_end()
            .await?
            .ok_or_else(|| broken("end of the stream, a line was due"))
    }

    /// A line with its end; `None` when the stream ended before its first byte.
    async fn line_or_end(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
                return Ok(Some(self.ahead.drain(..=end).collect()));
            }
            if self.ahead.is_empty() {
                if self.more().await? == 0 {
                    return Ok(None);
                }
            } else {
                self.more_or("a line").await?;
            }
        }
    }

    async fn more_or(&mut self, what: &str) -> Result<()> {
        if self.more().await? == 0 {
            return Err(broken(&format!("end of the stream inside {what}")));
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<usize> {
        self.io.read_buf(&mut self.ahead).await
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes to a stream that goes both ways.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.io.write_all(bytes).await
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}
