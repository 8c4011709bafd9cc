//! The admin listener: `/livez` tests the process, `/readyz` whether it should get traffic, and
//! `/wechat/…` relays backends' calls to WeChat.

mod relay;
mod streams;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use self::relay::Relay;
use crate::access_token::AccessTokens;
use crate::config::Config;
use crate::redis::RedisLink;
use crate::wechat::Wechat;

/// The body of a response.
pub type AdminBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The services of the admin listener.
pub struct Admin {
    redis: Option<RedisLink>,
    relay: Option<Relay>,
}

impl Admin {
    /// Assembles the services.
    #[must_use]
    pub fn new(
        config: &Config,
        redis: Option<RedisLink>,
        wechat: &Arc<Wechat>,
        tokens: &Arc<AccessTokens>,
    ) -> Self {
        let relay = Relay::new(config, wechat, tokens);
        Self { redis, relay }
    }

    /// Responds to one request. Never fails.
    pub async fn handle(&self, request: Request<Incoming>, draining: bool) -> Response<AdminBody> {
        if let Some(relay) = &self.relay
            && request.uri().path().starts_with(relay::PREFIX)
        {
            return relay.serve(request).await;
        }
        let (status, text) = self.state(&request, draining).await;
        let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
        answer(status, text_plain, Bytes::from_static(text.as_bytes()))
    }

    async fn state(
        &self,
        request: &Request<Incoming>,
        draining: bool,
    ) -> (StatusCode, &'static str) {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        match request.uri().path() {
            "/livez" => (StatusCode::OK, "live\n"),
            "/readyz" if draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" => match &self.redis {
                Some(link) if link.ping().await.is_err() => {
                    (StatusCode::SERVICE_UNAVAILABLE, "redis does not answer\n")
                }
                _ => (StatusCode::OK, "ready\n"),
            },
            _ => (StatusCode::NOT_FOUND, "there are /livez and /readyz\n"),
        }
    }
}

fn answer(status: StatusCode, kind: HeaderValue, text: Bytes) -> Response<AdminBody> {
    let body = Full::from(text).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
