//! Signed messages to a service of the operator: JSON by POST, with an HMAC over time and body,
//! which proves sender and age. Redirects are not followed, and a message that was sent is not
//! repeated. The caller interprets the response. No error of this module holds a path, query,
//! secret or body.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, Url};
use ring::hmac;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use crate::clock;
use crate::config;
use crate::http::hex;
use crate::http_client;

/// The header that holds the signature.
pub const SIGNATURE: &str = "X-Gateway-Signature";

/// Largest response body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Before the second attempt to connect.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// One service.
pub struct Webhook {
    http: reqwest::Client,
    url: Url,
    address: String,
    key: hmac::Key,
    timeout: Duration,
}

/// The response of the service.
#[derive(Debug)]
pub struct WebhookResponse {
    /// HTTP status, any.
    pub status: u16,
    /// At most 64 KiB.
    pub body: Vec<u8>,
}

/// The cause of a missing response.
#[derive(Debug)]
pub enum WebhookError {
    /// Both attempts to connect failed; nothing was sent.
    Unreachable(reqwest::Error),
    /// No complete response within the timeout.
    Timeout(Duration),
    /// The connection broke, or the response is not HTTP.
    Dropped(reqwest::Error),
    /// The response is larger than 64 KiB.
    TooLarge,
}

/// The cause of a failed set-up.
#[derive(Debug)]
pub enum WebhookSetupError {
    /// The URL is invalid.
    Url,
    /// The TLS client cannot be built.
    Tls(rustls::Error),
    /// The HTTP client cannot be built.
    Client(reqwest::Error),
}

impl Webhook {
    /// Sets up the client; sends nothing.
    ///
    /// # Errors
    /// By cause.
    pub fn new(config: &config::Webhook) -> Result<Self, WebhookSetupError> {
        let url = Url::parse(&config.url).map_err(|_| WebhookSetupError::Url)?;
        let host = url.host_str().ok_or(WebhookSetupError::Url)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let builder = http_client::builder(config.ca.as_deref()).map_err(WebhookSetupError::Tls)?;
        let http = builder
            // On a reused connection that the service has just closed, a message would be lost, and
            // a message may not be repeated.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| WebhookSetupError::Client(error.without_url()))?;
        Ok(Self {
            http,
            address: format!("{}://{host}:{port}", url.scheme()),
            url,
            key: hmac::Key::new(hmac::HMAC_SHA256, config.secret.expose().as_bytes()),
            timeout: config.timeout,
        })
    }

    /// Scheme, host and port; for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a message and reads the response, of any status, within the configured timeout. A
    /// failed attempt to connect is repeated once.
    ///
    /// # Errors
    /// By cause. Except for `Unreachable` the service may have received the message.
    pub async fn post(
        &self,
        message: &Value,
        request_id: &str,
    ) -> Result<WebhookResponse, WebhookError> {
        let deadline = Instant::now() + self.timeout;
        let body = message.to_string();
        let exchange = async {
            match self.exchange(&body, request_id).await {
                Err(WebhookError::Unreachable(_)) => {
                    sleep(RETRY_DELAY).await;
                    self.exchange(&body, request_id).await
                }
                other => other,
            }
        };
        let answer = timeout_at(deadline, exchange).await;
        answer.unwrap_or(Err(WebhookError::Timeout(self.timeout)))
    }

    /// Sends `{"event":"check"}`, to test that the service answers and accepts the signature.
    ///
    /// # Errors
    /// As `post`.
    pub async fn check(&self) -> Result<WebhookResponse, WebhookError> {
        let message = serde_json::json!({ "event": "check" });
        self.post(&message, "check").await
    }

    async fn exchange(
        &self,
        body: &str,
        request_id: &str,
    ) -> Result<WebhookResponse, WebhookError> {
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE, signature(&self.key, clock::unix_seconds(), body))
            .header("X-Request-Id", request_id)
            .body(body.to_owned());
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let body = read(&mut response).await?;
        Ok(WebhookResponse { status, body })
    }
}

impl WebhookResponse {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.
fn signature(key: &hmac::Key, at: u64, body: &str) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{at}.").as_bytes());
    context.update(body.as_bytes());
    format!("t={at},v1={}", hex::encode(context.sign().as_ref()))
}

async fn read(response: &mut Response) -> Result<Vec<u8>, WebhookError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(WebhookError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl From<reqwest::Error> for WebhookError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        match error.is_connect() {
            true => Self::Unreachable(error),
            false => Self::Dropped(error),
        }
    }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "no connection: {}", root(error)),
            Self::Timeout(after) => write!(f, "no complete response within {after:?}"),
            Self::Dropped(error) => write!(f, "the connection broke: {}", root(error)),
            Self::TooLarge => f.write_str("the response is larger than 64 KiB"),
        }
    }
}

impl std::error::Error for WebhookError {}

impl fmt::Display for WebhookSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the url cannot be used; write https://host/path"),
            Self::Tls(error) => write!(f, "setting up tls: {error}"),
            Self::Client(error) => write!(f, "setting up the http client: {}", root(error)),
        }
    }
}

impl std::error::Error for WebhookSetupError {}

/// The innermost source; the outer errors repeat its text in other words.
fn root(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Output of `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac
    /// 0123456789abcdef0123456789abcdef`.
    #[test]
    fn a_signature_matches_independent_vectors() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        assert_eq!(
            signature(&key, 1_700_000_000, r#"{"a":1}"#),
            "t=1700000000,v1=f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177"
        );
    }

    fn webhook(url: &str) -> Webhook {
        let config = config::Webhook {
            url: url.to_owned(),
            secret: crate::secret::Secret::new("0123456789abcdef0123456789abcdef"),
            timeout: Duration::from_secs(10),
            ca: None,
        };
        Webhook::new(&config).unwrap()
    }

    /// Starts a server that accepts, reads once and closes. Returns its address and the number of
    /// accepted connections.
    async fn hanging_up() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 64]).await;
            }
        });
        (address, taken)
    }

    #[tokio::test]
    async fn only_a_failed_connection_attempt_is_repeated_and_only_once() {
        let message = serde_json::json!({ "a": 1 });
        // Over TLS there is no connection before the handshake completes.
        let (address, taken) = hanging_up().await;
        let over_tls = webhook(&format!("https://{address}/"));
        let failed = over_tls.post(&message, "r1").await.unwrap_err();
        assert!(matches!(failed, WebhookError::Unreachable(_)), "{failed}");
        assert_eq!(taken.load(Ordering::SeqCst), 2);

        let (address, taken) = hanging_up().await;
        let plain = webhook(&format!("http://{address}/s3cret?s3cret"));
        let failed = plain.post(&message, "r1").await.unwrap_err();
        assert!(matches!(failed, WebhookError::Dropped(_)), "{failed}");
        assert_eq!(taken.load(Ordering::SeqCst), 1);
        let shown = format!("{failed} {failed:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
