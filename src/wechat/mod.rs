//! WeChat's server API: exchanges login codes, AppSecrets and phone codes, and checks session_keys.
//! One client, one deadline per call; each response is validated before it is used. No error or log
//! line of this module holds an AppSecret, login code or session_key. Single-flight and the
//! response to the client belong to `login`.

mod app_state;
mod checksession;
mod client;
mod errcode;
mod error;
mod login_code;
pub mod open_data;
mod phone;
mod relay;
mod response;
mod token;

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

pub use self::client::Wechat;
pub use self::errcode::{Class, KNOWN, Known, lookup, refuses_token};
pub use self::error::{Flaw, Refusal, Stage, WechatError, WechatSetupError};
pub use self::login_code::LoginCode;
pub use self::phone::Phone;
pub use self::relay::RelayedCall;
pub use self::response::Exchanged;
pub use self::token::{NewToken, Renewal};
