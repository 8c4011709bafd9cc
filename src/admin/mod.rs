//! The admin listener: `/livez` tests the process, `/readyz` whether it should get traffic,
//! `/wechat/…` relays backends' calls to WeChat, `POST /reload` reads gateway.toml again.

mod relay;
mod reload;
mod streams;
mod token;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use tokio::sync::mpsc;

use self::relay::Relay;
use self::reload::ReloadEndpoint;
pub use self::reload::{ReloadReport, ReloadRequest};
use self::token::AdminToken;
use crate::access_token::AccessTokens;
use crate::config::Config;
use crate::redis::RedisLink;
use crate::wechat::Wechat;

/// The body of a response.
pub type AdminBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The services of the admin listener.
pub struct Admin {
    redis: Option<RedisLink>,
    reload: ReloadEndpoint,
    snapshot: ArcSwap<AdminSnapshot>,
}

/// The parts that depend on the configuration.
struct AdminSnapshot {
    token: Option<AdminToken>,
    relay: Option<Relay>,
}

impl Admin {
    /// Assembles the services. `reloads` takes requests for a reload.
    #[must_use]
    pub fn new(
        config: &Config,
        redis: Option<RedisLink>,
        wechat: &Arc<Wechat>,
        tokens: &Arc<AccessTokens>,
        reloads: mpsc::Sender<ReloadRequest>,
    ) -> Self {
        Self {
            redis,
            reload: ReloadEndpoint::new(reloads),
            snapshot: ArcSwap::from_pointee(AdminSnapshot::new(config, wechat, tokens)),
        }
    }

    /// Follows another configuration.
    pub fn reconfigure(&self, config: &Config, wechat: &Arc<Wechat>, tokens: &Arc<AccessTokens>) {
        let snapshot = AdminSnapshot::new(config, wechat, tokens);
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Records the result of a reload, for `/readyz?verbose`.
    pub fn note_reload(&self, report: &ReloadReport) {
        self.reload.note(report);
    }

    /// Responds to one request. Never fails.
    pub async fn handle(&self, request: Request<Incoming>, draining: bool) -> Response<AdminBody> {
        let snapshot = self.snapshot.load_full();
        let path = request.uri().path();
        if let Some(relay) = &snapshot.relay
            && path.starts_with(relay::PREFIX)
        {
            return relay.serve(request).await;
        }
        if path == reload::PATH {
            let token = snapshot.token.as_ref();
            return self
                .reload
                .serve(request.method(), request.headers(), token)
                .await;
        }
        let (status, text) = self.state(&request, draining).await;
        let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
        text_response(status, text_plain, Bytes::from(text))
    }

    async fn state(&self, request: &Request<Incoming>, draining: bool) -> (StatusCode, String) {
        let fixed = |status, text: &str| (status, format!("{text}\n"));
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return fixed(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        match request.uri().path() {
            "/livez" => fixed(StatusCode::OK, "live"),
            "/readyz" => {
                let verbose = request.uri().query() == Some("verbose");
                // A gateway that drains is not ready whatever Redis says.
                let redis = match draining && !verbose {
                    true => None,
                    false => self.redis_responds().await,
                };
                let (status, text) = match (draining, redis) {
                    (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
                    (_, Some(false)) => (StatusCode::SERVICE_UNAVAILABLE, "redis does not respond"),
                    (false, _) => (StatusCode::OK, "ready"),
                };
                if !verbose {
                    return fixed(status, text);
                }
                let redis = redis.map(|responds| {
                    let sign = if responds { '+' } else { '-' };
                    format!("[{sign}] redis")
                });
                let lines: Vec<String> = redis
                    .into_iter()
                    .chain([self.reload.summary(), text.to_owned()])
                    .collect();
                fixed(status, &lines.join("\n"))
            }
            _ => fixed(
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz, POST /reload and, when it is configured, the relay",
            ),
        }
    }

    /// Whether Redis responds; `None` when nothing is stored there.
    async fn redis_responds(&self) -> Option<bool> {
        match &self.redis {
            Some(link) => Some(link.ping().await.is_ok()),
            None => None,
        }
    }
}

impl AdminSnapshot {
    fn new(config: &Config, wechat: &Arc<Wechat>, tokens: &Arc<AccessTokens>) -> Self {
        Self {
            token: config.admin.token.as_ref().map(AdminToken::new),
            relay: Relay::new(config, wechat, tokens),
        }
    }
}

fn text_response(status: StatusCode, kind: HeaderValue, text: Bytes) -> Response<AdminBody> {
    let body = Full::from(text).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
