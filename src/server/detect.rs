//! Tells HTTP/2 from HTTP/1 by a connection's first bytes, and gives them back to whoever reads next.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::delegate_io::delegate_write;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A stream with the bytes that were read ahead.
#[derive(Debug)]
pub(super) struct PrefixedIo<S> {
    read: BytesMut,
    stream: S,
}

/// Reads until the first bytes can only be one of both. `None` when the client ends before.
///
/// # Errors
/// The connection's own.
pub(super) async fn detect<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Protocol, PrefixedIo<S>)>> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
        let protocol = if read.starts_with(PREFACE) {
            Protocol::Http2
        } else if PREFACE.starts_with(&read) {
            continue;
        } else {
            Protocol::Http1
        };
        return Ok(Some((protocol, PrefixedIo { read, stream })));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefixedIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.read.len().min(buf.remaining());
        buf.put_slice(this.read.get(..length).unwrap_or_default());
        this.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefixedIo<S> {
    delegate_write!(
        stream: poll_write, poll_write_vectored, is_write_vectored, poll_flush, poll_shutdown
    );
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_decide_and_are_given_back() {
        for (sent, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Protocol::Http1),
            (b"POST / HTTP/1.1\r\n", Protocol::Http1),
            (b"PRI * HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest", Protocol::Http2),
        ] {
            let (mut client, server) = tokio::io::duplex(64);
            // One byte at a time: the decision must not rest on how the bytes arrive.
            let writing = async {
                for byte in sent {
                    client.write_all(&[*byte]).await.unwrap();
                }
                drop(client);
            };
            let reading = async {
                let (protocol, mut rewound) = detect(server).await.unwrap().unwrap();
                let mut all = Vec::new();
                rewound.read_to_end(&mut all).await.unwrap();
                (protocol, all)
            };
            let ((), (protocol, all)) = tokio::join!(writing, reading);
            assert_eq!(protocol, expected);
            assert_eq!(all, sent);
        }
    }
}
