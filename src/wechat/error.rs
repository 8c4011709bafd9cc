//! What can go wrong in a call to WeChat. The texts are for the operator: they name cause and cure,
//! and hold neither a secret nor a login code nor a session_key. Which HTTP status a client gets is
//! not decided here.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::errcode;

/// Why there is no `Exchanged`.
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
    /// WeChat was busy each time it was asked (-1).
    Busy(Refusal),
    /// The mini program as a whole is over its quota (45009).
    QuotaExceeded(Refusal),
    /// Appid, secret, address or account are not as WeChat wants them; only the operator can change
    /// that.
    Misconfigured(Refusal),
    /// WeChat found the call itself wrong.
    GatewayBug(Refusal),
    /// An errcode that is not in the table, or that this call should not get.
    Unknown(Refusal),
    /// There was an answer, but not one that can be believed.
    BadAnswer {
        /// What is wrong with it.
        what: Flaw,
    },
    /// The connection broke after the call was sent: whether the login code is spent, nobody knows.
    Dropped(reqwest::Error),
    /// No connection came about, each time it was tried, so nothing was sent.
    Unreachable(reqwest::Error),
    /// The last calls for this app were not answered, so this one was not made.
    NotAsked,
    /// No answer in time. Never repeated: the login code may be spent, and a second call would hide
    /// that.
    Timeout {
        /// How long the call waited.
        after: Duration,
        /// For what it waited.
        during: Stage,
    },
}

/// What a call was waiting for when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A connection.
    Connecting,
    /// The answer.
    Answering,
}

/// An errcode and what came with it. `errmsg` may name this gateway's address: for the log only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// WeChat's number.
    pub errcode: i64,
    /// WeChat's words: one line, at most 300 characters, secret and login code cut out.
    pub errmsg: String,
    /// WeChat's id of the call, which its support asks for; `None` when it sent none.
    pub rid: Option<String>,
}

/// What is wrong with an answer.
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

/// Why the client could not be made.
#[derive(Debug)]
pub enum WechatSetupError {
    /// `wechat.api_base` is not an `http` or `https` URL with a host.
    ApiBase(String),
    /// `wechat.proxy` is not a URL that can be used. The URL is not shown: it may hold a password.
    Proxy(reqwest::Error),
    /// TLS could not be set up.
    Tls(rustls::Error),
    /// The HTTP client could not be set up.
    Client(reqwest::Error),
}

impl WechatError {
    /// Whether it stays until somebody changes something, in the configuration, the WeChat console
    /// or this program; if so it belongs in the log as an error, with the errcode. What passes by
    /// itself, or is the client's doing, does not.
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

    /// WeChat's errcode; `None` when it did not say one.
    #[must_use]
    pub fn errcode(&self) -> Option<i64> {
        self.refusal().map(|refusal| refusal.errcode)
    }

    /// Whether WeChat refuses the access_token that the call carried.
    #[must_use]
    pub fn token_is_refused(&self) -> bool {
        self.errcode().is_some_and(errcode::refuses_token)
    }

    /// Whether WeChat says that the session_key which signed the call is no longer the live one.
    #[must_use]
    pub fn session_key_is_stale(&self) -> bool {
        let known = self.errcode().and_then(errcode::lookup);
        known.is_some_and(|known| known.class == errcode::Class::SessionKeyStale)
    }

    /// WeChat's id of the call, for its support; `None` when it did not send one.
    #[must_use]
    pub fn rid(&self) -> Option<&str> {
        self.refusal().and_then(|refusal| refusal.rid.as_deref())
    }

    /// What WeChat said; `None` when it was not heard.
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
            | Self::Unknown(refusal) => write!(f, "asking wechat: {refusal}"),
            Self::BadAnswer { what } => write!(f, "asking wechat: {what}"),
            Self::Dropped(_) => f.write_str(
                "asking wechat: the connection to wechat broke before its answer was \
                 whole; the client has to call wx.login again",
            ),
            Self::Unreachable(_) => f.write_str(
                "connecting to wechat; check name resolution, certificates, the way out to the internet and \
                 `wechat.proxy`",
            ),
            Self::NotAsked => f.write_str(
                "not asked: the last calls to wechat were not answered; one a second tries",
            ),
            Self::Timeout {
                after,
                during: Stage::Connecting,
            } => write!(
                f,
                "connecting to wechat: no connection within {} ms; check the way out to the \
                 internet and `wechat.proxy`",
                after.as_millis()
            ),
            Self::Timeout {
                after,
                during: Stage::Answering,
            } => write!(
                f,
                "asking wechat: no answer within {} ms (`wechat.timeout`)",
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
            Self::TooLarge => f.write_str("the answer is larger than 64 KiB"),
            Self::NotJson => f.write_str(
                "the answer is not json; check that `wechat.api_base` and `wechat.proxy` lead to \
                 wechat",
            ),
            Self::NotAnObject => f.write_str("the answer is not a json object"),
            Self::Errcode => f.write_str("the answer's errcode is not a number"),
            Self::Openid => f.write_str("the answer has no openid of 1 to 128 visible characters"),
            Self::SessionKey => f.write_str("the answer has no session_key of 16 bytes in base64"),
            Self::Unionid => f.write_str("the answer's unionid is not 1 to 128 visible characters"),
            Self::AccessToken => f.write_str(
                "the answer has no access_token of 1 to 512 visible characters with its expires_in",
            ),
            Self::Phone => f.write_str("the answer has no phone number for this app"),
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
