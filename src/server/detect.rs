//! Protocol detection: the first bytes of a connection tell HTTP/2 from HTTP/1. They are kept in
//! front of the stream for the protocol's own reader.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::delegate_io::delegate_write;

/// The first bytes of an HTTP/2 client with prior knowledge (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A stream behind bytes that were read from it for detection.
#[derive(Debug)]
pub(super) struct PrefixedIo<S> {
    prefix: BytesMut,
    stream: S,
}

/// Reads until the first bytes tell the protocol. `None` when the client closes before that.
///
/// # Errors
/// The connection failed.
pub(super) async fn detect<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Protocol, PrefixedIo<S>)>> {
    let mut prefix = BytesMut::with_capacity(PREFACE.len());
    loop {
        if stream.read_buf(&mut prefix).await? == 0 {
            return Ok(None);
        }
        let protocol = if prefix.starts_with(PREFACE) {
            Protocol::Http2
        } else if PREFACE.starts_with(&prefix) {
            continue;
        } else {
            Protocol::Http1
        };
        return Ok(Some((protocol, PrefixedIo { prefix, stream })));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefixedIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.prefix.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.prefix.len().min(buf.remaining());
        buf.put_slice(this.prefix.get(..length).unwrap_or_default());
        this.prefix.advance(length);
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
    async fn the_first_bytes_tell_the_protocol_and_are_kept() {
        for (sent, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Protocol::Http1),
            (b"POST / HTTP/1.1\r\n", Protocol::Http1),
            (b"PRI * HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest", Protocol::Http2),
        ] {
            let (mut client, server) = tokio::io::duplex(64);
            // One byte at a time: the result must not depend on how the bytes arrive.
            let writing = async {
                for byte in sent {
                    client.write_all(&[*byte]).await.unwrap();
                }
                drop(client);
            };
            let reading = async {
                let (protocol, mut stream) = detect(server).await.unwrap().unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                (protocol, all)
            };
            let ((), (protocol, all)) = tokio::join!(writing, reading);
            assert_eq!(protocol, expected);
            assert_eq!(all, sent);
        }
    }
}
