//! The HTTP/2 settings of the server.

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Concurrent streams of one connection.
pub(super) const MAX_STREAMS: usize = 128;

/// Every setting of the library, defaults too: the cost of a client is decided here and not by an
/// update of the library.
pub(super) fn builder(max_header_list: usize) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // Streams beyond it are refused one by one; a client that goes on is reset.
        .max_concurrent_streams(u32::try_from(MAX_STREAMS).ok())
        // A longer list is a 431; a block several times as long, or in more CONTINUATION frames
        // than it needs, ends the connection. The decoder's table has the protocol's default size.
        .max_header_list_size(u32::try_from(max_header_list).unwrap_or(u32::MAX))
        .header_table_size(4096)
        // Requests reset before they are accepted: rapid reset (CVE-2023-44487) in its first form.
        .max_pending_accept_reset_streams(20)
        // Streams that we reset for a fault of the client (MadeYouReset, CVE-2025-8671).
        .max_local_error_reset_streams(256)
        // Uploads that an upstream does not read: at most 1 MiB per connection is buffered, a
        // quarter of it per stream.
        .initial_connection_window_size(1 << 20)
        .initial_stream_window_size(256 << 10)
        .max_frame_size(16 << 10)
        // Responses that a client has opened its windows for and does not read: two chunks per
        // stream, 4 MiB per connection. The library's default would be 50 MiB.
        .max_send_buf_size(32 << 10);
    builder
}
