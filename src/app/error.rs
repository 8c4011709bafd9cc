//! Errors of start and reload.

use std::fmt;
use std::io;

use crate::gateway::UnknownUpstream;
use crate::redis::RedisConfigError;
use crate::server::BindError;
use crate::webhook::WebhookSetupError;
use crate::wechat::WechatSetupError;

/// The cause why a configuration cannot be used.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be bound.
    Bind(BindError),
    /// `[redis]` holds no usable address.
    Redis(RedisConfigError),
    /// A route names an upstream that does not exist.
    Routes(UnknownUpstream),
    /// The HTTP client for WeChat cannot be built.
    Wechat(WechatSetupError),
    /// The HTTP client for `[users.webhook]` cannot be built.
    Webhook(WebhookSetupError),
}

impl StartError {
    /// The cause of a failed bind.
    #[must_use]
    pub fn bind_cause(&self) -> Option<&io::Error> {
        match self {
            Self::Bind(error) => Some(&error.source),
            Self::Redis(_) | Self::Routes(_) | Self::Wechat(_) | Self::Webhook(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Redis(error) => error.fmt(f),
            Self::Routes(error) => error.fmt(f),
            Self::Wechat(error) => error.fmt(f),
            Self::Webhook(error) => write!(f, "users.webhook: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) => Some(error),
            Self::Redis(error) => Some(error),
            Self::Routes(error) => Some(error),
            Self::Wechat(error) => Some(error),
            Self::Webhook(error) => Some(error),
        }
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}
