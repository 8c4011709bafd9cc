//! An auth gateway for WeChat mini-program backends: the library behind the `skeygate` command.

pub mod clock;
pub mod config;
pub mod fake_wechat;
pub mod identity;
pub mod redis;
pub mod session;
#[cfg(test)]
mod testing;
pub mod users;
pub mod wechat;
