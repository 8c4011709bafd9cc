//! Conversions from the errors of lower layers, and `chain`: an error with its sources in one line.

use super::{Error, LoginRefusal};
use crate::http::framing::HeadError;
use crate::http::host::HostProblem;
use crate::http::method::MethodProblem;
use crate::http::path::PathProblem;
use crate::http::target::TargetProblem;
use crate::wechat::WechatError;

/// An error and its sources in one line; a source already contained in the text is left out.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

impl From<HostProblem> for Error {
    fn from(problem: HostProblem) -> Self {
        Self::BadRequest(problem.text())
    }
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(text) => Self::BadRequest(text),
            HeadError::TargetTooLong => Self::UriTooLong,
            HeadError::HeadTooLarge => Self::HeadersTooLarge,
            HeadError::TooSlow => Self::RequestTimeout,
        }
    }
}

impl From<TargetProblem> for Error {
    fn from(problem: TargetProblem) -> Self {
        Self::BadRequest(problem.text())
    }
}

impl From<MethodProblem> for Error {
    fn from(problem: MethodProblem) -> Self {
        match problem {
            MethodProblem::Never => Self::MethodNotAllowed {
                allow: MethodProblem::ALLOW.to_owned(),
            },
            MethodProblem::Malformed => Self::BadRequest("the method is malformed"),
        }
    }
}

impl From<PathProblem> for Error {
    fn from(problem: PathProblem) -> Self {
        Self::AmbiguousPath(problem)
    }
}

/// The outcome of a failed WeChat call that carries a login code or phone code.
impl From<WechatError> for Error {
    fn from(error: WechatError) -> Self {
        let bug = matches!(error, WechatError::GatewayBug(_));
        if bug {
            return Self::Internal(chain(&error));
        }
        let outcome = match &error {
            WechatError::CodeInvalid(_) => Self::LoginCodeInvalid,
            WechatError::CodeUsed(_) => Self::LoginCodeUsed,
            WechatError::UserBlocked(_) => Self::LoginUserBlocked,
            WechatError::UserRateLimited(_) => Self::RateLimited,
            WechatError::Busy(_) | WechatError::QuotaExceeded(_) => Self::WechatBusy,
            WechatError::Timeout { .. } => Self::WechatTimeout,
            WechatError::BadAnswer { .. }
            | WechatError::Dropped(_)
            | WechatError::Unreachable(_)
            | WechatError::NotAsked => Self::WechatUnreachable,
            WechatError::Misconfigured(_)
            | WechatError::Unknown(_)
            | WechatError::GatewayBug(_) => Self::WechatMisconfigured,
        };
        outcome(LoginRefusal::Wechat(error))
    }
}
