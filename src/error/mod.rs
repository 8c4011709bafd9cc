//! Errors of a request: one variant per outcome, and the one table of status, name, errcode and
//! text. Clients get short constant texts; causes go to the log.

mod causes;

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

pub use self::causes::chain;

use crate::http::path::PathProblem;
use crate::limit::RateLimitExceeded;
use crate::store_error::StoreError;
use crate::wechat::WechatError;
use crate::wechat::open_data::Undecryptable;

/// The outcome of a request that failed.
#[derive(Debug)]
pub enum Error {
    /// The request is malformed; the text is constant and may be shown.
    BadRequest(&'static str),
    /// The path could be read differently by the upstream.
    AmbiguousPath(PathProblem),
    /// Several different skeys in one request.
    ConflictingSkeys,
    /// A login without a code.
    LoginCodeMissing {
        /// The kind of body that was searched for the code.
        body: &'static str,
    },
    /// A login with a code that WeChat does not know, or that cannot be one.
    LoginCodeInvalid(LoginRefusal),
    /// A login with a code that was used before.
    LoginCodeUsed(LoginRefusal),
    /// WeChat data that does not decrypt, belongs to another app or user, or has a wrong signature.
    Undecryptable(Undecryptable),
    /// As `Undecryptable`, and the newest known session_key is not the live one, or none is known:
    /// no current data can be decrypted.
    SessionKeyExpired,
    /// A phone code that WeChat refuses for this user, or that is malformed.
    PhoneCodeInvalid(LoginRefusal),
    /// No live session: no skey, an unknown, expired or revoked one alike.
    NotLoggedIn(SkeyState),
    /// WeChat rates the user high-risk.
    LoginUserBlocked(LoginRefusal),
    /// The user is not known and this login creates none.
    UnknownUser,
    /// An operator banned the user.
    UserBanned,
    /// `users.webhook` denied the login; its reason is in the log at `debug`.
    LoginDenied,
    /// No route matches.
    NoRoute,
    /// A route matches, but not for this method.
    MethodNotAllowed {
        /// For the `Allow` header.
        allow: String,
    },
    /// The client sent its request too slowly.
    RequestTimeout,
    /// The body is over the limit.
    BodyTooLarge,
    /// The request target is too long.
    UriTooLong,
    /// The head has too many bytes or lines.
    HeadersTooLarge,
    /// WeChat's rate limit for this user.
    RateLimited(LoginRefusal),
    /// The request exceeds a `rate_limit`.
    OverLimit(RateLimitExceeded),
    /// A bug in skeygate.
    Internal(String),
    /// WeChat refuses the appid, secret or address of the gateway: the operator must act.
    WechatMisconfigured(LoginRefusal),
    /// WeChat cannot be reached, or its response is malformed.
    WechatUnreachable(LoginRefusal),
    /// WeChat is busy or the app's quota is spent.
    WechatBusy(LoginRefusal),
    /// WeChat did not answer in time.
    WechatTimeout(LoginRefusal),
    /// The session store cannot be read.
    StoreUnavailable(StoreError),
    /// The user directory cannot be asked.
    DirectoryUnavailable(StoreError),
    /// The upstream accepts no connection.
    UpstreamRefused(String),
    /// The upstream closed the connection before its response.
    UpstreamReset(String),
    /// The upstream's response is not HTTP, or its framing is ambiguous.
    UpstreamProtocol(String),
    /// The upstream did not answer in time.
    UpstreamTimeout(UpstreamWait),
    /// The upstream's limits of active and waiting requests, the limit of 1024 logins or 64 profile
    /// changes in flight, or the connection limit is reached.
    Overloaded,
    /// The connection limit of one client address is reached. Sent on a new connection, before any
    /// request.
    TooManyConnections,
}

/// The cause of a refused login.
#[derive(Debug)]
pub enum LoginRefusal {
    /// WeChat's response to this request.
    Wechat(WechatError),
    /// WeChat's response to another request with the same code.
    Repeated,
    /// Refused without a call to WeChat.
    NotAsked(&'static str),
}

/// The skey of a request that is not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkeyState {
    /// The request has no skey.
    Missing,
    /// The value is not of an skey's form.
    Malformed,
    /// No session has this skey.
    Unknown,
}

/// The event that did not happen in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamWait {
    /// A connection, within this time.
    Connect(Duration),
    /// The first byte of the response, within this time.
    FirstByte(Duration),
}

/// The response to a client for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable name, also sent in `X-Gateway-Error`.
    pub name: &'static str,
    /// WeChat's errcode if there is one, else the HTTP status.
    pub errcode: i64,
    /// Short constant text.
    pub errmsg: &'static str,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
}

impl Error {
    /// The table of responses. A new variant has its row here, its cause in `Display`, and its
    /// row in README.md.
    #[must_use]
    pub fn response(&self) -> ErrorResponse {
        let (status, name, errcode, errmsg, retry_after) = match self {
            Self::BadRequest(text) => (400, "bad_request", 400, *text, None),
            Self::AmbiguousPath(_) => (400, "ambiguous_path", 400, "ambiguous path", None),
            Self::ConflictingSkeys => (
                400,
                "conflicting_skeys",
                400,
                "several different skeys",
                None,
            ),
            Self::LoginCodeMissing { .. } => {
                (400, "login_code_missing", 41008, "login code missing", None)
            }
            Self::LoginCodeInvalid(_) => {
                (400, "login_code_invalid", 40029, "login code invalid", None)
            }
            Self::LoginCodeUsed(_) => (
                400,
                "login_code_used",
                40163,
                "login code used already",
                None,
            ),
            Self::Undecryptable(_) => (
                400,
                "undecryptable",
                400,
                "undecryptable: log in, then fetch the data again",
                None,
            ),
            Self::SessionKeyExpired => (
                400,
                "session_key_expired",
                87009,
                "session_key expired: log in, then fetch the data again",
                None,
            ),
            Self::PhoneCodeInvalid(_) => {
                (400, "phone_code_invalid", 40029, "phone code invalid", None)
            }
            Self::NotLoggedIn(_) => (401, "not_logged_in", 40001, "not logged in", None),
            Self::LoginUserBlocked(_) => (
                403,
                "login_user_blocked",
                40226,
                "user blocked by wechat",
                None,
            ),
            Self::UnknownUser => (403, "unknown_user", 403, "unknown user", None),
            Self::UserBanned => (403, "user_banned", 403, "user banned", None),
            Self::LoginDenied => (403, "login_denied", 403, "login denied", None),
            Self::NoRoute => (404, "no_route", 404, "not found", None),
            Self::MethodNotAllowed { .. } => {
                (405, "method_not_allowed", 405, "method not allowed", None)
            }
            Self::RequestTimeout => (408, "request_timeout", 408, "request timeout", None),
            Self::BodyTooLarge => (413, "body_too_large", 413, "body too large", None),
            Self::UriTooLong => (414, "uri_too_long", 414, "uri too long", None),
            Self::HeadersTooLarge => (431, "headers_too_large", 431, "headers too large", None),
            Self::RateLimited(_) => (429, "rate_limited", 45011, "too many requests", Some(60)),
            Self::OverLimit(refused) => (
                429,
                "rate_limited",
                45011,
                "too many requests",
                Some(refused.retry_after),
            ),
            Self::Internal(_) => (500, "internal", 500, "internal error", None),
            Self::WechatMisconfigured(_) => {
                (502, "wechat_misconfigured", 502, "not available", None)
            }
            Self::WechatUnreachable(_) => {
                (502, "wechat_unreachable", 502, "wechat not reachable", None)
            }
            Self::WechatBusy(refusal) => (
                503,
                "wechat_busy",
                503,
                "wechat busy",
                Some(refusal.retry_after()),
            ),
            Self::WechatTimeout(_) => (504, "wechat_timeout", 504, "wechat timeout", None),
            Self::StoreUnavailable(_) => (
                503,
                "store_unavailable",
                503,
                "session store unavailable",
                Some(1),
            ),
            Self::DirectoryUnavailable(_) => (
                503,
                "directory_unavailable",
                503,
                "user directory unavailable",
                Some(1),
            ),
            Self::UpstreamRefused(_) => {
                (502, "upstream_refused", 502, "upstream not reachable", None)
            }
            Self::UpstreamReset(_) => (
                502,
                "upstream_reset",
                502,
                "upstream closed the connection",
                None,
            ),
            Self::UpstreamProtocol(_) => (
                502,
                "upstream_protocol",
                502,
                "upstream answer not understood",
                None,
            ),
            Self::UpstreamTimeout(_) => (504, "upstream_timeout", 504, "upstream timeout", None),
            Self::Overloaded => (503, "overloaded", 503, "overloaded", Some(1)),
            // As nginx's limit_conn. 429 would blame one of many users behind the address.
            Self::TooManyConnections => (
                503,
                "too_many_connections",
                503,
                "too many connections",
                Some(1),
            ),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ErrorResponse {
            status,
            name,
            errcode,
            errmsg,
            retry_after,
        }
    }

    /// Whether the error persists until an operator acts.
    #[must_use]
    pub fn operator_must_act(&self) -> bool {
        match self {
            Self::Internal(_) => true,
            Self::WechatMisconfigured(LoginRefusal::Wechat(cause))
            | Self::WechatBusy(LoginRefusal::Wechat(cause)) => cause.operator_must_act(),
            _ => false,
        }
    }

    /// Whether the connection must be closed, because the position in its byte stream is uncertain.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::RequestTimeout
                | Self::BodyTooLarge
                | Self::BadRequest(_)
                | Self::UriTooLong
                | Self::HeadersTooLarge
        )
    }
}

impl ErrorResponse {
    /// Whether the client has to log in again.
    #[must_use]
    pub fn is_not_logged_in(&self) -> bool {
        self.errcode == 40001
    }
}

impl LoginRefusal {
    fn retry_after(&self) -> u32 {
        match self {
            Self::Wechat(WechatError::QuotaExceeded { .. }) => 60,
            Self::Wechat(_) | Self::Repeated | Self::NotAsked(_) => 1,
        }
    }
}

impl fmt::Display for LoginRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wechat(error) => f.write_str(&chain(error)),
            Self::Repeated => f.write_str("the answer to an earlier login with the same code"),
            Self::NotAsked(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Error {
    /// The cause, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(text) => f.write_str(text),
            Self::AmbiguousPath(problem) => problem.fmt(f),
            Self::ConflictingSkeys => f.write_str("the request holds several different skeys"),
            Self::LoginCodeMissing { body } => {
                write!(
                    f,
                    "no code where login.code_from says; the request has {body}"
                )
            }
            Self::Undecryptable(cause) => cause.fmt(f),
            Self::SessionKeyExpired => {
                f.write_str("nothing opened, and the newest session_key of the user is dead")
            }
            Self::NotLoggedIn(SkeyState::Missing) => f.write_str("no skey"),
            Self::NotLoggedIn(SkeyState::Malformed) => f.write_str("malformed skey"),
            Self::NotLoggedIn(SkeyState::Unknown) => f.write_str("no session for the skey"),
            Self::UnknownUser => f.write_str("the user is not known, and none is made"),
            Self::UserBanned => f.write_str("an operator banned the user"),
            Self::LoginDenied => f.write_str("users.webhook denied the login"),
            Self::NoRoute => f.write_str("no route matches"),
            Self::MethodNotAllowed { allow } => write!(f, "only {allow} is taken here"),
            Self::RequestTimeout => f.write_str("the client sent its request too slowly"),
            Self::BodyTooLarge => f.write_str("the body is over the limit"),
            Self::UriTooLong => f.write_str("the request target is over the limit"),
            Self::HeadersTooLarge => f.write_str("the head has too many bytes or lines"),
            Self::LoginCodeInvalid(cause)
            | Self::LoginCodeUsed(cause)
            | Self::PhoneCodeInvalid(cause)
            | Self::LoginUserBlocked(cause)
            | Self::RateLimited(cause)
            | Self::WechatMisconfigured(cause)
            | Self::WechatUnreachable(cause)
            | Self::WechatBusy(cause)
            | Self::WechatTimeout(cause) => cause.fmt(f),
            Self::OverLimit(refused) => f.write_str(&refused.cause),
            Self::StoreUnavailable(cause) | Self::DirectoryUnavailable(cause) => cause.fmt(f),
            Self::Internal(cause)
            | Self::UpstreamRefused(cause)
            | Self::UpstreamReset(cause)
            | Self::UpstreamProtocol(cause) => f.write_str(cause),
            Self::UpstreamTimeout(UpstreamWait::Connect(after)) => {
                write!(f, "no connection within {after:?} (connect_timeout)")
            }
            Self::UpstreamTimeout(UpstreamWait::FirstByte(after)) => {
                write!(
                    f,
                    "no answer within {after:?} (the route's timeout or response_timeout)"
                )
            }
            Self::Overloaded => f.write_str(
                "too many requests wait for the upstream, or too many logins or changes of profiles are under way",
            ),
            Self::TooManyConnections => f.write_str("the address has too many connections"),
        }
    }
}
