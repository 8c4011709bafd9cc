//! The response to a connection that is not admitted: constant, over HTTP/1.1 whatever the client
//! speaks, and without a request line in the log, since no request was read. An HTTP/2 client gets
//! no SETTINGS and closes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::accepted::Accepted;
use super::admission::AdmissionRefusal;
use crate::error::Error;

/// Refusals in progress, at most; beyond them a connection is closed without a response. Each holds
/// a descriptor.
const MAX_REFUSALS: usize = 64;
/// How long a client may take to read its refusal and close.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of its request that are discarded meanwhile: closed with unread bytes, the kernel resets
/// the connection and the client may lose the response.
const MAX_DISCARDED_BYTES: u64 = 64 * 1024;

/// The two responses, and the number of refusals in progress.
pub(super) struct Refusals {
    server_full: Bytes,
    address_full: Bytes,
    slots: Arc<Semaphore>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            server_full: response(&Error::Overloaded),
            address_full: response(&Error::TooManyConnections),
            slots: Arc::new(Semaphore::new(MAX_REFUSALS)),
        }
    }

    /// Sends the reason to the client and closes; `None` when `MAX_REFUSALS` are in progress and
    /// the connection is closed at once.
    pub(super) fn refuse(
        &self,
        accepted: Accepted,
        refusal: AdmissionRefusal,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let response = match refusal {
            AdmissionRefusal::ServerFull => self.server_full.clone(),
            AdmissionRefusal::AddressFull => self.address_full.clone(),
        };
        Some(async move {
            let _slot = slot;
            let sending = async {
                match accepted {
                    Accepted::Tcp(stream, _) => send(stream, &response).await,
                    Accepted::Unix(stream) => send(stream, &response).await,
                }
            };
            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, sending).await;
        })
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, response: &[u8]) {
    let sent = async {
        stream.write_all(response).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(MAX_DISCARDED_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // A client that is gone already needs no response.
    let _ = sent.await;
}

fn response(error: &Error) -> Bytes {
    let fields = error.response();
    let body = serde_json::json!({
        "error": fields.name, "errcode": fields.errcode, "errmsg": fields.errmsg,
    });
    let (status, body) = (fields.status, body.to_string());
    let retry_after = fields.retry_after.unwrap_or(1);
    let (name, length) = (fields.name, body.len());
    Bytes::from(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\nRetry-After: {retry_after}\r\nX-Gateway-Error: {name}\r\n\r\n{body}"
    ))
}
