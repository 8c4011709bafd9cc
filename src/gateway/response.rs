//! Responses to the client, the gateway's own and the upstream's, with the log line tied to the end
//! of the body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use super::header_rules::apply;
use crate::config::{HeaderRules, Respond, Style};
use crate::error::Error;
use crate::limit::RateLimitStatus;
use crate::request_log::Record;
use crate::style;
use crate::upstream::{BodyWatch, ResponseBody, ResponseKind, Tunnel, UpstreamResponse};

/// The name of the error, for programs that cannot read the body; nginx's `auth_request` for one.
const GATEWAY_ERROR: HeaderName = HeaderName::from_static("x-gateway-error");
/// Names of draft-ietf-httpapi-ratelimit-headers up to 06, as Kong sends and clients read them.
/// Later drafts use one structured field, which has little support.
const RATELIMIT: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A response, and what continues after its head.
pub(super) struct GatewayResponse {
    pub(super) response: Response<Body>,
    pub(super) tunnel: Option<Box<Tunnel>>,
    pub(super) request_body: Option<Arc<BodyWatch>>,
}

/// The body of a response.
#[derive(Debug)]
pub(super) enum Body {
    Ours(Full<Bytes>),
    Upstream(ResponseBody),
}

/// A body that counts its bytes and writes the log line when it ends or is dropped.
#[derive(Debug)]
pub struct LoggedBody {
    body: Body,
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    record: Box<Record>,
    request_body: Option<Arc<BodyWatch>>,
    ended: bool,
}

impl GatewayResponse {
    fn ours(response: Response<Body>) -> Self {
        Self {
            response,
            tunnel: None,
            request_body: None,
        }
    }

    /// A JSON response that must not be cached: it is about one user at one moment.
    pub(super) fn json(status: StatusCode, body: String) -> Self {
        let mut response = Response::new(Body::text(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(CACHE_CONTROL, NO_STORE);
        // A browser must not render it as a page.
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        Self::ours(response)
    }

    /// Adds the status of the tightest limit. Headers of a service that has its own limits are
    /// kept.
    pub(super) fn set_rate_limit(&mut self, status: RateLimitStatus) {
        let headers = self.response.headers_mut();
        if RATELIMIT.iter().all(|name| !headers.contains_key(name)) {
            let values = [status.limit, status.remaining, status.reset];
            headers.extend(RATELIMIT.into_iter().zip(values.map(HeaderValue::from)));
        }
    }

    /// The response to an error, in the route's style.
    pub(super) fn refusal(error: &Error, style: &Style, request_id: &str) -> Self {
        let refusal = error.response();
        let (status, body) = style::refusal(style, &refusal, request_id);
        let mut reply = Self::json(status, body);
        let headers = reply.response.headers_mut();
        headers.insert(GATEWAY_ERROR, HeaderValue::from_static(refusal.name));
        if let Some(seconds) = refusal.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Error::MethodNotAllowed { allow } = error
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(ALLOW, allow);
        }
        if error.ends_connection() {
            reply.end_connection();
        }
        reply
    }

    /// Announces the end of the connection.
    pub(super) fn end_connection(&mut self) {
        let headers = self.response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }

    /// The upstream's response.
    pub(super) fn forwarded(
        response: UpstreamResponse,
        request_body: Option<Arc<BodyWatch>>,
        rules: &HeaderRules,
    ) -> Self {
        let mut reply = match response.kind {
            ResponseKind::Final(response) => Self {
                response: response.map(Body::Upstream),
                tunnel: None,
                request_body,
            },
            ResponseKind::Switching(response, tunnel) => Self {
                response: response.map(|()| Body::empty()),
                tunnel: Some(tunnel),
                request_body: None,
            },
        };
        apply(rules, reply.response.headers_mut());
        reply
    }

    /// The fixed response of a route.
    pub(super) fn configured(respond: &Respond, rules: &HeaderRules) -> Self {
        let mut response = Response::new(Body::text(respond.body.clone()));
        *response.status_mut() = respond.status;
        if !respond.body.is_empty() {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, respond.content_type.clone());
        }
        apply(rules, response.headers_mut());
        Self::ours(response)
    }
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::Ours(Full::default())
    }

    fn text(text: String) -> Self {
        Self::Ours(Full::from(text))
    }
}

impl LoggedBody {
    pub(super) fn new(
        body: Body,
        record: Box<Record>,
        request_body: Option<Arc<BodyWatch>>,
    ) -> Self {
        // hyper does not poll the body if none is sent.
        let status = record.status;
        let ended = record.method == Method::HEAD || matches!(status, Some(204 | 304));
        Self {
            body,
            log: Some(Log {
                record,
                request_body,
                ended,
            }),
        }
    }

    /// An empty body without a log line: the tunnel writes it.
    pub(super) fn empty() -> Self {
        Self {
            body: Body::empty(),
            log: None,
        }
    }
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = match &mut this.body {
            Body::Ours(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into))
            }
            Body::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        let Some(log) = &mut this.log else {
            return Poll::Ready(frame);
        };
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                log.record.bytes_out = log.record.bytes_out.saturating_add(bytes);
            }
            Some(Err(error)) => {
                log.ended = true;
                log.record
                    .break_off(format!("the upstream broke off its response: {error}"));
            }
            None => log.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Body::Ours(body) => body.is_end_stream(),
            Body::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Body::Ours(body) => HttpBody::size_hint(body),
            Body::Upstream(body) => body.size_hint(),
        }
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        let whole = self.is_end_stream();
        let Some(log) = &mut self.log else { return };
        if let Some(body) = &log.request_body {
            log.record.bytes_in = body.bytes();
        }
        if !log.ended && !whole && log.record.error.is_none() {
            let cause = "the client left in the middle of its response";
            log.record.error = Some(("client_left", cause.to_owned()));
        }
    }
}
