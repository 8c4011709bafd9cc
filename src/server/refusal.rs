//! The answer to a connection that gets no place: constant, over HTTP/1.1 whatever the client speaks, and without a request line in
//! the log, since no request was read. An HTTP/2 client sees no SETTINGS and gives up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::accepted::Accepted;
use super::admission::Refused;
use crate::error::Error;

/// Refusals under way at once; who comes then is closed without a word. Each holds a descriptor.
const MOST: usize = 64;
/// Time a client gets to read its refusal and go.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of its request that are thrown away meanwhile: closed with unread bytes, the kernel resets the connection and the client
/// may lose the answer.
const DRAINED: u64 = 64 * 1024;

/// What is said, and how many it is said to.
pub(super) struct Refusals {
    full: Bytes,
    crowd: Bytes,
    places: Arc<Semaphore>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            full: answer(&Error::Overloaded),
            crowd: answer(&Error::TooManyConnections),
            places: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// Tells a client why it is closed; `None` when too many are being told already, and the connection is closed.
    pub(super) fn refuse(
        &self,
        accepted: Accepted,
        why: Refused,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let answer = match why {
            Refused::Full => self.full.clone(),
            Refused::PerAddress => self.crowd.clone(),
        };
        Some(async move {
            let _place = place;
            let telling = async {
                match accepted {
                    Accepted::Tcp(stream, _) => say(stream, &answer).await,
                    Accepted::Unix(stream) => say(stream, &answer).await,
                }
            };
            let _ = tokio::time::timeout(PATIENCE, telling).await;
        })
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) {
    let said = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(DRAINED);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Gone before: nobody is left to tell.
    let _ = said.await;
}

fn answer(error: &Error) -> Bytes {
    let told = error.answer();
    let body = serde_json::json!({
        "error": told.name, "errcode": told.errcode, "errmsg": told.errmsg,
    });
    let (status, body) = (told.status, body.to_string());
    let retry_after = told.retry_after.unwrap_or(1);
    let (name, length) = (told.name, body.len());
    Bytes::from(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\nRetry-After: {retry_after}\r\nX-Gateway-Error: {name}\r\n\r\n{body}"
    ))
}
