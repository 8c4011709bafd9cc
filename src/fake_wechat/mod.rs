//! A fake of WeChat's server API, for `skeygate dev` and for tests: an HTTP server on loopback that
//! keeps WeChat's rules (codes of five minutes and one use, one session_key per user, errcodes
//! under status 200, `text/plain`) and breaks them on demand. User names are free; the data of
//! users is derived from them, so that tests can compute it. Tests control it by the methods of
//! `FakeWechat` or by POST requests with JSON to `/_mock/…`; see `control`.

mod control;
mod endpoint;
mod fault;
mod ids;
mod jscode2session;
mod open_data;
mod render;
mod samples;
mod server;
mod shared;
mod state;
mod token_calls;
mod tokens;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::endpoint::Endpoint;
pub use self::fault::{DropWhen, Fault};
pub use self::open_data::OpenData;
use self::shared::FakeShared;
use self::state::FakeState;
pub use self::state::{FakeApp, Settings};

/// A running fake; it stops when dropped.
#[derive(Debug)]
pub struct FakeWechat {
    address: SocketAddr,
    shared: Arc<FakeShared>,
    accepting: JoinHandle<()>,
}

impl FakeWechat {
    /// Listens on `address`, which must be a loopback address; port 0 takes a free one. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not loopback; else the error of binding it.
    pub async fn start(address: SocketAddr, apps: Vec<FakeApp>) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the fake wechat has no authentication; {address} is not a loopback \
                     address"
                ),
            ));
        }
        let seed = ids::seed()?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(FakeShared::new(FakeState::new(apps, seed)));
        let accepting = tokio::spawn(server::accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// The value for `wechat.api_base`, e.g. `http://127.0.0.1:34567`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A code as from wx.login by `user` in the mini program `appid`: 32 characters, valid once and
    /// for 300 s. The user's session_key is replaced if it is older than `Settings::rotate_min`.
    #[must_use]
    pub fn new_code(&self, appid: &str, user: &str) -> String {
        self.state().wx_login(appid, user)
    }

    /// As `new_code`, with a given code, e.g. one with blanks.
    pub fn issue_code(&self, appid: &str, user: &str, code: &str) {
        self.state().issue(appid, user, code);
    }

    /// A code as from the phone button of `user`: valid once and for 300 s.
    #[must_use]
    pub fn new_phone_code(&self, appid: &str, user: &str) -> String {
        self.state().phone_code(appid, user)
    }

    /// The phone number of `user`; always the same.
    #[must_use]
    pub fn phone_number(&self, user: &str) -> String {
        ids::phone_number(user)
    }

    /// Ends the app's stable access_token at once, as a `force_refresh` by another client would.
    pub fn end_token(&self, appid: &str) {
        self.state().tokens.kill_stable(appid);
    }

    /// Refuses the app's stable access_token from now on, but keeps returning it.
    pub fn spoil_token(&self, appid: &str) {
        self.state().tokens.spoil_stable(appid);
    }

    /// Number of calls with an invalid access_token.
    #[must_use]
    pub fn refused_tokens(&self) -> u64 {
        self.state().tokens.refused()
    }

    /// The openid of `user` in `appid`; always the same.
    #[must_use]
    pub fn openid(&self, appid: &str, user: &str) -> String {
        ids::openid(appid, user)
    }

    /// The unionid of `user` in every app of the open-platform account `account`; always the same.
    #[must_use]
    pub fn unionid(&self, account: &str, user: &str) -> String {
        ids::unionid(account, user)
    }

    /// The current session_key of `user` in `appid`; `None` before the first wx.login.
    #[must_use]
    pub fn session_key(&self, appid: &str, user: &str) -> Option<String> {
        self.state().session_key(appid, user)
    }

    /// Data as from wx.getUserInfo by `user`, encrypted with the current session_key. `None` before
    /// the first wx.login.
    #[must_use]
    pub fn user_info(&self, appid: &str, user: &str) -> Option<OpenData> {
        self.state().user_info(appid, user)
    }

    /// As `user_info`, with other fields, e.g. those of a phone number; a watermark of `appid` is
    /// added.
    #[must_use]
    pub fn encrypt(&self, appid: &str, user: &str, data: Map<String, Value>) -> Option<OpenData> {
        let session_key = self.session_key(appid, user)?;
        open_data::seal(data, appid, &session_key)
    }

    /// Number of calls of `endpoint`, including those with a fault.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.shared.calls(endpoint)
    }

    /// Waits until `endpoint` has been called `count` times in all.
    pub async fn wait_for_calls(&self, endpoint: Endpoint, count: u64) {
        self.shared.wait_for_calls(endpoint, count).await;
    }

    /// Queues a fault for the next calls of `endpoint`, behind earlier ones.
    pub fn push_fault(&self, endpoint: Endpoint, fault: Fault) {
        self.state().push_fault(endpoint, fault);
    }

    /// Moves the fake's clock forward.
    pub fn advance(&self, by: Duration) {
        self.state().advance(by);
    }

    /// Makes WeChat rate `user` a high risk in every app from now on (40226).
    pub fn block(&self, user: &str) {
        self.state().block(user);
    }

    /// Binds the app to an open-platform account, or unbinds it; its users' unionids appear or
    /// disappear with their next login.
    pub fn set_account(&self, appid: &str, account: Option<&str>) {
        self.state().set_account(appid, account);
    }

    /// Replaces the app's secret, as the WeChat console does on a reset.
    pub fn set_secret(&self, appid: &str, secret: &str) {
        self.state().set_secret(appid, secret);
    }

    /// Replaces all settings.
    pub fn set(&self, settings: Settings) {
        self.state().set(settings);
    }

    /// Forgets codes, keys, faults, blocks, settings and counts. Apps and clock stay.
    pub fn reset(&self) {
        self.shared.reset();
    }

    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.shared.state()
    }
}

impl Drop for FakeWechat {
    fn drop(&mut self) {
        // Its connections are tasks of the same set and end with it.
        self.accepting.abort();
    }
}
