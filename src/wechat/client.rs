//! The client: one HTTP connection pool to WeChat, the common parts of all calls, and the exchange
//! of a login code for an openid.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{RequestBuilder, Url};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::app_state::{AppState, AppStates};
use super::error::{Flaw, Stage, WechatError, WechatSetupError};
use super::login_code::LoginCode;
use super::response::{self, Exchanged, Hidden};
use crate::config;
use crate::http_client;

/// Largest response that is read. Real ones have about 200 bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Delays before the second and the third attempt.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// Short, because a connection that WeChat has closed meanwhile fails a login.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// All but RFC 3986's unreserved characters. A blank becomes `%20`, which unlike `+` all parsers
/// read alike.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of WeChat's server API.
pub struct Wechat {
    pub(super) http: reqwest::Client,
    base: Url,
    timeout: Duration,
    apps: Arc<AppStates>,
    config: config::Wechat,
}

impl Wechat {
    /// Sets up the client; sends nothing. Reads the system's root certificates.
    ///
    /// # Errors
    /// `ApiBase` and `Proxy` for an invalid URL, `Tls` and `Client` if the TLS or HTTP client
    /// cannot be built.
    pub fn new(config: &config::Wechat) -> Result<Self, WechatSetupError> {
        let base = Url::parse(&config.api_base)
            .ok()
            .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| WechatSetupError::ApiBase(config.api_base.clone()))?;
        let client_error = |error: reqwest::Error| WechatSetupError::Client(error.without_url());
        let builder = http_client::builder(None)
            .map_err(WechatSetupError::Tls)?
            .https_only(base.scheme() == "https")
            // So that the log tells a network that drops packets from a WeChat that is slow.
            .connect_timeout(config.timeout / 2)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT);
        let builder = match &config.proxy {
            None => builder,
            Some(proxy) => {
                let proxy = reqwest::Proxy::all(proxy.as_str())
                    .map_err(|error| WechatSetupError::Proxy(error.without_url()))?;
                builder.proxy(proxy)
            }
        };
        Ok(Self {
            http: builder.build().map_err(client_error)?,
            base,
            timeout: config.timeout,
            apps: Arc::default(),
            config: config.clone(),
        })
    }

    /// A client for another configuration, with the state of its apps (circuit breakers, accepted
    /// secrets). Open connections are kept if `[wechat]` is unchanged.
    ///
    /// # Errors
    /// As `new`.
    pub fn reconfigured(&self, config: &config::Wechat) -> Result<Self, WechatSetupError> {
        let same = *config == self.config;
        let client = if same { None } else { Some(Self::new(config)?) };
        let source = client.as_ref().unwrap_or(self);
        Ok(Self {
            http: source.http.clone(),
            base: source.base.clone(),
            timeout: source.timeout,
            apps: Arc::clone(&self.apps),
            config: config.clone(),
        })
    }

    /// Forgets what is known of other apps than these.
    pub fn retain_apps(&self, apps: &[config::App]) {
        self.apps.retain(apps);
    }

    /// Exchanges `code` in `app`. At most three attempts, 100 and 300 ms apart; repeated only when
    /// WeChat was busy or the connection failed, never after a timeout. Each attempt has
    /// `wechat.timeout`; all together end at `deadline`.
    ///
    /// If WeChat refuses the AppSecret and the app has a `secret_next`, the other one is tried at
    /// once: a refused secret does not spend the code. After five consecutive calls without a
    /// response only one call a second is made.
    ///
    /// # Errors
    /// One variant of `WechatError` per cause; after several attempts, the last one's.
    pub async fn exchange(
        &self,
        app: &config::App,
        code: &LoginCode,
        deadline: Instant,
    ) -> Result<Exchanged, WechatError> {
        let asked = self
            .ask(app, Some(code), deadline, &|secret| {
                self.http.get(self.jscode2session_url(app, secret, code))
            })
            .await;
        let known = match &asked {
            Ok(_) | Err(WechatError::CodeUsed(_)) => Some(true),
            Err(WechatError::CodeInvalid(_)) => Some(false),
            Err(_) => None,
        };
        if let Some(known) = known {
            self.apps.of(&app.appid).knew_code(app, known);
        }
        response::exchanged(&asked?)
    }

    /// Makes a call that carries the AppSecret, by the rules of `exchange`; `request` builds it
    /// with a given secret.
    pub(super) async fn ask(
        &self,
        app: &config::App,
        code: Option<&LoginCode>,
        deadline: Instant,
        request: &(dyn Fn(&crate::secret::Secret) -> RequestBuilder + Send + Sync),
    ) -> Result<Map<String, Value>, WechatError> {
        let state = self.apps.of(&app.appid);
        let mut secret = state.secret(app);
        let mut secrets_left = 1;
        let mut tries = 0;
        loop {
            tries += 1;
            let code = code.map_or("", LoginCode::expose);
            let texts = [secret.expose(), code];
            let hidden = Hidden(&texts);
            let asked = self.ask_once(&state, app, request(secret), &hidden, deadline);
            let error = match asked.await {
                Ok(fields) => {
                    state.took(app, secret);
                    return Ok(fields);
                }
                Err(error) => error,
            };
            if secret_is_refused(&error)
                && secrets_left > 0
                && let Some(other) = state.other_secret(app, secret)
            {
                secret = other;
                secrets_left -= 1;
                continue;
            }
            if !code_is_unspent(&error) {
                return Err(error);
            }
            let Some(again) = next_try(tries, Instant::now(), deadline) else {
                return Err(error);
            };
            debug!(%error, appid = app.appid, "asking wechat again");
            sleep_until(again).await;
        }
    }

    /// As `ask`, for a call with an access_token and no AppSecret; one attempt.
    pub(super) async fn ask_with_token(
        &self,
        app: &config::App,
        request: RequestBuilder,
        hidden: &Hidden<'_>,
        deadline: Instant,
    ) -> Result<Map<String, Value>, WechatError> {
        let state = self.apps.of(&app.appid);
        self.ask_once(&state, app, request, hidden, deadline).await
    }

    async fn ask_once(
        &self,
        state: &AppState,
        app: &config::App,
        request: RequestBuilder,
        hidden: &Hidden<'_>,
        deadline: Instant,
    ) -> Result<Map<String, Value>, WechatError> {
        if !state.admits(Instant::now()) {
            return Err(WechatError::NotAsked);
        }
        let called = self.call(request, deadline).await;
        state.note(app, called.is_ok(), Instant::now());
        response::fields(&called?, hidden)
    }

    /// Sends a request and returns the response head, without a deadline.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
    ) -> Result<reqwest::Response, WechatError> {
        let started = Instant::now();
        request.send().await.map_err(|error| {
            let during = Stage::Connecting;
            let after = started.elapsed();
            Broken::from(error).into_error(WechatError::Timeout { after, during })
        })
    }

    /// The URL of a WeChat call. Tokens and codes go into the query, never into the path.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        let encoded = |text| utf8_percent_encode(text, QUERY_VALUE);
        let pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        url.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
        url
    }

    fn jscode2session_url(
        &self,
        app: &config::App,
        secret: &crate::secret::Secret,
        code: &LoginCode,
    ) -> Url {
        self.url(
            "/sns/jscode2session",
            &[
                ("appid", &app.appid),
                ("secret", secret.expose()),
                ("js_code", code.expose()),
                ("grant_type", "authorization_code"),
            ],
        )
    }

    /// The body of a 200 response.
    async fn call(
        &self,
        request: RequestBuilder,
        deadline: Instant,
    ) -> Result<Vec<u8>, WechatError> {
        let started = Instant::now();
        let end = deadline.min(started + self.timeout);
        let timeout = |during| WechatError::Timeout {
            after: started.elapsed(),
            during,
        };
        if end <= started {
            return Err(timeout(Stage::Connecting));
        }
        match timeout_at(end, whole_answer(request)).await {
            Err(_) => Err(timeout(Stage::Answering)),
            Ok(Err(broken)) => Err(broken.into_error(timeout(Stage::Connecting))),
            Ok(Ok(body)) => Ok(body),
        }
    }
}

// Written by hand: the HTTP client's Debug prints its proxy, whose URL may hold a password.
impl fmt::Debug for Wechat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wechat")
            .field("base", &self.base.as_str())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

async fn whole_answer(request: RequestBuilder) -> Result<Vec<u8>, Broken> {
    let mut response = request.send().await?;
    // WeChat answers 200 with `errcode` in the body; another status does not come from its API.
    if response.status() != reqwest::StatusCode::OK {
        return Err(Broken::Flaw(Flaw::Status(response.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Broken::Flaw(Flaw::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The failure of one call.
enum Broken {
    Timeout,
    Unreachable(reqwest::Error),
    Dropped(reqwest::Error),
    Flaw(Flaw),
}

impl Broken {
    /// `timeout` is the limit that was in force when no connection was made in time.
    fn into_error(self, timeout: WechatError) -> WechatError {
        match self {
            Self::Timeout => timeout,
            Self::Unreachable(error) => WechatError::Unreachable(error),
            Self::Dropped(error) => WechatError::Dropped(error),
            Self::Flaw(what) => WechatError::BadAnswer { what },
        }
    }
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        // The only conversion of HTTP client errors. They print the URL, and the URL holds the
        // secret or a token.
        let error = error.without_url();
        if error.is_connect() && error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Unreachable(error)
        } else {
            Self::Dropped(error)
        }
    }
}

/// Whether the same code may be sent again without hiding the outcome of the first attempt.
fn code_is_unspent(error: &WechatError) -> bool {
    matches!(error, WechatError::Busy(_) | WechatError::Unreachable(_))
}

/// Whether WeChat refused the AppSecret, which it checks before the code.
fn secret_is_refused(error: &WechatError) -> bool {
    matches!(error, WechatError::Misconfigured(refusal) if matches!(refusal.errcode, 40001 | 40125))
}

/// The time of the next attempt after this many; `None` if the last failure is final, also when the
/// deadline leaves no time for another attempt.
fn next_try(tries: usize, now: Instant, deadline: Instant) -> Option<Instant> {
    let pause = RETRY_DELAYS.get(tries.checked_sub(1)?)?;
    Some(now + *pause).filter(|again| *again < deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_try_comes_after_its_pause_unless_the_deadline_comes_first() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        assert_eq!(next_try(1, now, at(101)), Some(at(100)));
        assert_eq!(next_try(2, now, at(301)), Some(at(300)));
        assert_eq!(next_try(1, now, at(100)), None);
        assert_eq!(next_try(2, now, at(300)), None);
        assert_eq!(next_try(3, now, at(5000)), None);
    }
}
