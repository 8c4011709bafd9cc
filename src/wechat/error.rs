//! Errors of calls to WeChat. The texts are for the operator: they name cause and cure, and hold
//! neither a secret nor a login code nor a session_key. The HTTP status for the client is decided
//! in `error`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::errcode;

/// The cause of a failed call.
#[derive(Debug)]
pub enum WechatError {
    /// The login code is unknown, too old, or of another mini program (40029, 42003).
    CodeInvalid(Refusal),
    /// The login code has been spent (40163).
    CodeUsed(Refusal),
    /// WeChat rates the user a high risk (40226).
    UserBlocked(Refusal),
    /// The user makes more than 100 calls a minute (45011).
    UserRateLimited(Refusal),
    /// WeChat was busy in each attempt (-1).
    Busy(Refusal),
    /// The mini program as a whole is over its quota (45009).
    QuotaExceeded(Refusal),
    /// WeChat refuses appid, secret, address or account; only the operator can change that.
    Misconfigured(Refusal),
    /// WeChat refused the call as malformed.
    GatewayBug(Refusal),
    /// An errcode that is not in the table, or that this call should not get.
    Unknown(Refusal),
    /// The response is malformed.
    BadAnswer {
        /// The fault in the response.
        what: Flaw,
    },
    /// The connection broke after the call was sent; the login code may be spent.
    Dropped(reqwest::Error),
    /// Each attempt to connect failed, so nothing was sent.
    Unreachable(reqwest::Error),
    /// The call was not made, because the last calls for this app got no response.
    NotAsked,
    /// No response in time. Never repeated: the login code may be spent, and a second call would
    /// hide that.
    Timeout {
        /// Duration of the call.
        after: Duration,
        /// The event that it waited for.
        during: Stage,
    },
}

/// The event that a call waited for when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A connection.
    Connecting,
    /// The response.
    Answering,
}

/// An errcode with its details. `errmsg` may hold this gateway's address: for the log only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// WeChat's errcode.
    pub errcode: i64,
    /// WeChat's message: one line, at most 300 characters, without secret and login code.
    pub errmsg: String,
    /// WeChat's id of the call, for its support; `None` if it sent none.
    pub rid: Option<String>,
}

/// The fault in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The HTTP status is not 200, which WeChat sends even with an errcode.
    Status(u16),
    /// More than 64 KiB.
    TooLarge,
    /// Not JSON, or not in UTF-8.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// The errcode is neither a whole number nor the text of one.
    Errcode,
    /// No openid, or not one of 1 to 128 visible ASCII characters.
    Openid,
    /// No session_key, or not 16 bytes in base64.
    SessionKey,
    /// A unionid that is not text of 1 to 128 visible ASCII characters.
    Unionid,
    /// No access_token of 1 to 512 visible ASCII characters, or no time for which it is good.
    AccessToken,
    /// No phone number, or one for another app.
    Phone,
}

/// The cause of a failed set-up.
#[derive(Debug)]
pub enum WechatSetupError {
    /// `wechat.api_base` is not an `http` or `https` URL with a host.
    ApiBase(String),
    /// `wechat.proxy` is not a valid URL. The URL is not shown, since it may hold a password.
    Proxy(reqwest::Error),
    /// TLS could not be set up.
    Tls(rustls::Error),
    /// The HTTP client could not be set up.
    Client(reqwest::Error),
}

impl WechatError {
    /// Whether the error persists until a change in the configuration, in the WeChat console or in
    /// this program, so that it is logged as an error with the errcode. Transient errors and those
    /// caused by the client are not.
    #[must_use]
    pub fn operator_must_act(&self) -> bool {
        match self {
            Self::QuotaExceeded(_)
            | Self::Misconfigured(_)
            | Self::GatewayBug(_)
            | Self::Unknown(_) => true,
            Self::CodeInvalid(_)
            | Self::CodeUsed(_)
            | Self::UserBlocked(_)
            | Self::UserRateLimited(_)
            | Self::Busy(_)
            | Self::BadAnswer { .. }
            | Self::Dropped(_)
            | Self::Unreachable(_)
            | Self::NotAsked
            | Self::Timeout { .. } => false,
        }
    }

    /// WeChat's errcode; `None` without one.
    #[must_use]
    pub fn errcode(&self) -> Option<i64> {
        self.refusal().map(|refusal| refusal.errcode)
    }

    /// Whether WeChat refuses the access_token of the call.
    #[must_use]
    pub fn token_is_refused(&self) -> bool {
        self.errcode().is_some_and(errcode::refuses_token)
    }

    /// Whether WeChat reports that the session_key which signed the call is no longer the current
    /// one.
    #[must_use]
    pub fn session_key_is_stale(&self) -> bool {
        let known = self.errcode().and_then(errcode::lookup);
        known.is_some_and(|known| known.class == errcode::Class::SessionKeyStale)
    }

    /// WeChat's id of the call, for its support; `None` if it sent none.
    #[must_use]
    pub fn rid(&self) -> Option<&str> {
        self.refusal().and_then(|refusal| refusal.rid.as_deref())
    }

    /// WeChat's response; `None` if there was none.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::CodeInvalid(refusal)
            | Self::CodeUsed(refusal)
            | Self::UserBlocked(refusal)
            | Self::UserRateLimited(refusal)
            | Self::Busy(refusal)
            | Self::QuotaExceeded(refusal)
            | Self::Misconfigured(refusal)
            | Self::GatewayBug(refusal)
            | Self::Unknown(refusal) => Some(refusal),
            Self::BadAnswer { .. }
            | Self::Dropped(_)
            | Self::Unreachable(_)
            | Self::NotAsked
            | Self::Timeout { .. } => None,
        }
    }
}

impl fmt::Display for WechatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CodeInvalid(refusal)
            | Self::CodeUsed(refusal)
            | Self::UserBlocked(refusal)
            | Self::UserRateLimited(refusal)
            | Self::Busy(refusal)
            | Self::QuotaExceeded(refusal)
            | Self::Misconfigured(refusal)
            | Self::GatewayBug(refusal)
            | Self::Unknown(refusal) => write!(f, "calling wechat: {refusal}"),
            Self::BadAnswer { what } => write!(f, "calling wechat: {what}"),
            Self::Dropped(_) => f.write_str(
                "calling wechat: the connection broke before the response was complete; the client \
                 has to call wx.login again",
            ),
            Self::Unreachable(_) => f.write_str(
                "connecting to wechat; check name resolution, certificates, outbound internet access \
                 and `wechat.proxy`",
            ),
            Self::NotAsked => f.write_str(
                "not called: wechat did not respond to the last calls; one call a second is tried",
            ),
            Self::Timeout {
                after,
                during: Stage::Connecting,
            } => write!(
                f,
                "connecting to wechat: no connection within {} ms; check outbound internet \
                 access and `wechat.proxy`",
                after.as_millis()
            ),
            Self::Timeout {
                after,
                during: Stage::Answering,
            } => write!(
                f,
                "calling wechat: no response within {} ms (`wechat.timeout`)",
                after.as_millis()
            ),
        }
    }
}

impl Error for WechatError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Dropped(error) | Self::Unreachable(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = errcode::lookup(self.errcode).map_or(
            "not an errcode this version knows; look it up in wechat's documentation",
            |known| known.meaning,
        );
        write!(f, "errcode {}: {meaning}", self.errcode)?;
        if !self.errmsg.is_empty() {
            write!(f, " (errmsg: {})", self.errmsg)?;
        }
        Ok(())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(
                f,
                "http status {status} instead of 200; check that `wechat.api_base` and \
                 `wechat.proxy` lead to wechat"
            ),
            Self::TooLarge => f.write_str("the response is larger than 64 KiB"),
            Self::NotJson => f.write_str(
                "the response is not json; check that `wechat.api_base` and `wechat.proxy` lead to \
                 wechat",
            ),
            Self::NotAnObject => f.write_str("the response is not a json object"),
            Self::Errcode => f.write_str("the response's errcode is not a number"),
            Self::Openid => f.write_str("the response has no openid of 1 to 128 visible characters"),
            Self::SessionKey => f.write_str("the response has no session_key of 16 bytes in base64"),
            Self::Unionid => f.write_str("the response's unionid is not 1 to 128 visible characters"),
            Self::AccessToken => f.write_str(
                "the response has no access_token of 1 to 512 visible characters with its expires_in",
            ),
            Self::Phone => f.write_str("the response has no phone number for this app"),
        }
    }
}

impl fmt::Display for WechatSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiBase(url) => write!(
                f,
                "`wechat.api_base` is `{url}`; write scheme and host, such as \
                 `https://api.weixin.qq.com`"
            ),
            Self::Proxy(_) => f.write_str("`wechat.proxy` is not a url; write `http://host:port`"),
            Self::Tls(_) => f.write_str("setting up tls towards wechat"),
            Self::Client(_) => f.write_str("setting up the http client towards wechat"),
        }
    }
}

impl Error for WechatSetupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ApiBase(_) => None,
            Self::Proxy(error) | Self::Client(error) => Some(error),
            Self::Tls(error) => Some(error),
        }
    }
}
