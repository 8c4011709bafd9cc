//! WeChat's server API: a login code becomes an openid and a session_key, an AppSecret an access_token, a phone code a phone
//! number, and a session_key is found to be live or not. One client, one deadline for each call; what WeChat answers is checked before anyone sees it. Neither the AppSecret nor a
//! login code nor a session_key is in any error or log line of this module. Single-flight and the
//! client's answer are left to the login step.

mod answer;
mod app_state;
mod checksession;
mod client;
mod errcode;
mod error;
mod login_code;
pub mod open_data;
mod phone;
mod relay;
mod token;

#[cfg(test)]
mod tests;

pub use self::answer::Exchanged;
pub use self::client::Wechat;
pub use self::errcode::{Class, KNOWN, Known, lookup, refuses_token};
pub use self::error::{Flaw, Refusal, Stage, WechatError, WechatSetupError};
pub use self::login_code::LoginCode;
pub use self::phone::Phone;
pub use self::relay::RelayedCall;
pub use self::token::{NewToken, Renewal};
