//! `/wechat/<app>/<path>`: relays a backend's call to WeChat's server API with the app's
//! access_token, which the backend never sees. Bodies stream both ways. Only listed paths, and only
//! with `admin.token`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::streams::{Download, Upload};
use super::token::AdminToken;
use super::{AdminBody, text_response};
use crate::access_token::AccessTokens;
use crate::config::{self, App, Config};
use crate::error::Error;
use crate::http::path::CanonicalPath;
use crate::login::LOGIN_DEADLINE;
use crate::wechat::{RelayedCall, Wechat, WechatError, refuses_token};

/// The path prefix of the relay.
pub(super) const PREFIX: &str = "/wechat/";
/// Largest request body that is buffered, so that the call can be repeated.
const MAX_BUFFERED_BYTES: usize = 64 * 1024;
/// Largest part of a response that is inspected; one that refuses a token has a few hundred bytes.
const MAX_INSPECTED_BYTES: usize = 4096;
/// Request headers that are relayed.
const TO_WECHAT: [HeaderName; 2] = [CONTENT_TYPE, ACCEPT];
const FROM_WECHAT: [HeaderName; 4] = [
    CONTENT_TYPE,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
];

pub(super) struct Relay {
    rules: config::Relay,
    apps: Vec<Arc<App>>,
    token: AdminToken,
    wechat: Arc<Wechat>,
    tokens: Arc<AccessTokens>,
}

/// The cause of a failed call.
struct RelayRefusal {
    status: StatusCode,
    name: &'static str,
    message: String,
    retry_after: Option<u32>,
}

/// A request body, as far as it was read.
enum Sent {
    Nothing,
    Whole(Bytes),
    Begun(VecDeque<Bytes>, Incoming),
}

/// A response whose beginning was inspected.
struct InspectedResponse {
    response: reqwest::Response,
    start: VecDeque<Bytes>,
    /// The response, if it is a short JSON object.
    errcode: Option<i64>,
}

impl Relay {
    /// `None` for a response without a body to relay.
    pub(super) fn new(
        config: &Config,
        wechat: &Arc<Wechat>,
        tokens: &Arc<AccessTokens>,
    ) -> Option<Self> {
        let token = config.admin.token.as_ref()?;
        (!config.relay.paths.is_empty()).then(|| Self {
            rules: config.relay.clone(),
            apps: config.apps.iter().cloned().map(Arc::new).collect(),
            token: AdminToken::new(token),
            wechat: Arc::clone(wechat),
            tokens: Arc::clone(tokens),
        })
    }

    pub(super) async fn serve(&self, request: Request<Incoming>) -> Response<AdminBody> {
        let started = Instant::now();
        let outcome = self.pass_on(request).await;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(http.response.status_code = status, elapsed_ms, "relayed");
                response
            }
            Err(refused) => {
                let error = refused.name;
                let cause = refused.message.as_str();
                if refused.status.is_server_error() {
                    tracing::warn!(error, cause, elapsed_ms, "a call was not relayed");
                } else {
                    tracing::debug!(error, cause, "a call was not relayed");
                }
                refused.response()
            }
        }
    }

    async fn pass_on(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<AdminBody>, RelayRefusal> {
        let (parts, body) = request.into_parts();
        self.authorize(&parts.headers)?;
        if ![Method::GET, Method::POST].contains(&parts.method) {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(refused(status, "method_not_allowed", "only GET and POST"));
        }
        let (app, path) = self.target(parts.uri.path())?;
        let mut headers = HeaderMap::new();
        for name in TO_WECHAT {
            if let Some(value) = parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let query = parts.uri.query().map(str::to_owned);
        let call = |body| RelayedCall {
            method: parts.method.clone(),
            path: path.clone(),
            query: query.clone(),
            headers: headers.clone(),
            body,
        };
        let mut sent = self.receive(&parts.method, body).await?;
        let mut token = self
            .tokens
            .get(&app, token_deadline())
            .await
            .map_err(|error| ours(&error.into()))?;
        let mut again = true;
        loop {
            let moved = Arc::new(AtomicU64::new(0));
            let (body, repeatable) = match sent {
                Sent::Nothing => (None, true),
                Sent::Whole(ref bytes) => (Some(reqwest::Body::from(bytes.clone())), true),
                Sent::Begun(start, rest) => {
                    let moved = Arc::clone(&moved);
                    sent = Sent::Nothing;
                    let upload = Upload { start, rest, moved };
                    (Some(reqwest::Body::wrap(upload)), false)
                }
            };
            let sending = self.wechat.relay(call(body), &token);
            let response = self.patiently(sending, &moved).await?;
            let inspected = self.look_into(response).await?;
            if again && inspected.errcode.is_some_and(refuses_token) {
                token = self
                    .tokens
                    .replace(&app, &token, token_deadline())
                    .await
                    .map_err(|error| ours(&error.into()))?;
                if !repeatable {
                    let mut renewed = refused(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "access_token_renewed",
                        "wechat refused the access_token; there is a new one now: send the request again",
                    );
                    renewed.retry_after = Some(1);
                    return Err(renewed);
                }
                again = false;
                continue;
            }
            return Ok(self.forward(inspected));
        }
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), RelayRefusal> {
        if self.token.permits(headers) {
            return Ok(());
        }
        let message = "send `Authorization: Bearer` with the admin.token of gateway.toml";
        Err(refused(StatusCode::UNAUTHORIZED, "unauthorized", message))
    }

    /// The app, and the path at WeChat.
    fn target(&self, path: &str) -> Result<(Arc<App>, String), RelayRefusal> {
        let canonical = CanonicalPath::parse(path)
            .and_then(|path| path.check_encoded(&[]).map(|()| path.as_str().to_owned()));
        let canonical = canonical.map_err(|problem| {
            let message = problem.to_string();
            refused(StatusCode::BAD_REQUEST, "ambiguous_path", &message)
        })?;
        let (name, rest) = canonical
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| {
                let message = "the path is /wechat/<app>/<path at wechat>";
                refused(StatusCode::NOT_FOUND, "not_found", message)
            })?;
        let app = self
            .apps
            .iter()
            .find(|app| app.name == name || app.appid == name);
        let app = app.ok_or_else(|| {
            let message = "no app of gateway.toml has this name or appid";
            refused(StatusCode::NOT_FOUND, "unknown_app", message)
        })?;
        let path = format!("/{rest}");
        if !self.rules.allows(&path) {
            let message = "the path is not listed in relay.paths of gateway.toml";
            return Err(refused(StatusCode::FORBIDDEN, "path_not_allowed", message));
        }
        Ok((Arc::clone(app), path))
    }

    /// Buffers a short body completely, and the beginning of a long one.
    async fn receive(&self, method: &Method, mut body: Incoming) -> Result<Sent, RelayRefusal> {
        if body.is_end_stream() && method == Method::GET {
            return Ok(Sent::Nothing);
        }
        let mut start = VecDeque::new();
        let mut size = 0;
        while size <= MAX_BUFFERED_BYTES
            && usize::try_from(body.size_hint().lower())
                .is_ok_and(|left| left <= MAX_BUFFERED_BYTES)
        {
            let frame = timeout(self.rules.timeout, body.frame()).await;
            let frame = frame.map_err(|_| {
                let message = "the request's body did not come in relay.timeout";
                refused(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
            })?;
            let Some(frame) = frame else {
                let whole: Vec<u8> = start.into_iter().flatten().collect();
                return Ok(Sent::Whole(Bytes::from(whole)));
            };
            let frame = frame.map_err(|_| {
                let message = "the request's body broke off";
                refused(StatusCode::BAD_REQUEST, "bad_request", message)
            })?;
            if let Ok(piece) = frame.into_data() {
                size += piece.len();
                start.push_back(piece);
            }
        }
        Ok(Sent::Begun(start, body))
    }

    /// Waits for the response while the request body moves, and `relay.timeout` from then on; at
    /// most twice that.
    async fn patiently(
        &self,
        sending: impl Future<Output = Result<reqwest::Response, WechatError>>,
        moved: &AtomicU64,
    ) -> Result<reqwest::Response, RelayRefusal> {
        let mut sending = std::pin::pin!(sending);
        let mut before = moved.load(Ordering::Relaxed);
        loop {
            match timeout(self.rules.timeout, &mut sending).await {
                Ok(response) => return response.map_err(|error| ours(&error.into())),
                Err(_) => {
                    let now = moved.load(Ordering::Relaxed);
                    if now == before {
                        return Err(silent());
                    }
                    before = now;
                }
            }
        }
    }

    /// Reads the beginning of a response; more than one chunk only if it may be a short JSON
    /// object.
    async fn look_into(
        &self,
        mut response: reqwest::Response,
    ) -> Result<InspectedResponse, RelayRefusal> {
        let mut start = VecDeque::new();
        let mut text = Vec::new();
        loop {
            let piece = timeout(self.rules.timeout, response.chunk()).await;
            let piece = piece
                .map_err(|_| silent())?
                .map_err(|error| ours(&WechatError::Dropped(error.without_url()).into()))?;
            let Some(piece) = piece else {
                let said: Option<Value> = serde_json::from_slice(&text).ok();
                let errcode = said.and_then(|said| said.get("errcode")?.as_i64());
                return Ok(InspectedResponse {
                    response,
                    start,
                    errcode,
                });
            };
            text.extend_from_slice(&piece);
            start.push_back(piece);
            if text.len() > MAX_INSPECTED_BYTES || !text.trim_ascii_start().starts_with(b"{") {
                return Ok(InspectedResponse {
                    response,
                    start,
                    errcode: None,
                });
            }
        }
    }

    fn forward(&self, inspected: InspectedResponse) -> Response<AdminBody> {
        let theirs: Response<reqwest::Body> = inspected.response.into();
        let (parts, rest) = theirs.into_parts();
        let body = Download::new(inspected.start, rest, self.rules.timeout);
        let mut response = Response::new(body.boxed_unsync());
        *response.status_mut() = parts.status;
        for name in FROM_WECHAT {
            if let Some(value) = parts.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

impl RelayRefusal {
    fn response(self) -> Response<AdminBody> {
        let body = json!({ "error": self.name, "message": self.message });
        let kind = HeaderValue::from_static("application/json; charset=utf-8");
        let mut response = text_response(self.status, kind, Bytes::from(body.to_string()));
        let headers = response.headers_mut();
        // Tells the response apart from WeChat's.
        let name = HeaderValue::from_static(self.name);
        headers.insert(HeaderName::from_static("x-gateway-error"), name);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn refused(status: StatusCode, name: &'static str, message: &str) -> RelayRefusal {
    RelayRefusal {
        status,
        name,
        message: message.to_owned(),
        retry_after: None,
    }
}

fn silent() -> RelayRefusal {
    let message = "wechat did not respond within relay.timeout";
    refused(StatusCode::GATEWAY_TIMEOUT, "wechat_timeout", message)
}

/// The response of the error table, with the cause: callers of this listener are the operator's
/// own.
fn ours(error: &Error) -> RelayRefusal {
    let response = error.response();
    RelayRefusal {
        status: response.status,
        name: response.name,
        message: error.to_string(),
        retry_after: response.retry_after,
    }
}

fn token_deadline() -> Instant {
    Instant::now() + LOGIN_DEADLINE
}
