//! checksession: whether a session_key is the one that WeChat currently uses for its user.

use tokio::time::Instant;

use super::client::Wechat;
use super::error::WechatError;
use super::open_data;
use super::response::Hidden;
use crate::config::App;
use crate::secret::Secret;

impl Wechat {
    /// Whether WeChat still encrypts and signs with this session_key. The key itself is not sent: a
    /// signature proves its possession.
    ///
    /// # Errors
    /// One variant of `WechatError` per cause; `token_is_refused` tells whether another token may
    /// help.
    pub async fn session_key_is_live(
        &self,
        app: &App,
        token: &Secret,
        openid: &str,
        session_key: &Secret,
        deadline: Instant,
    ) -> Result<bool, WechatError> {
        let signature = open_data::session_signature(session_key, b"");
        let query = [
            ("access_token", token.expose()),
            ("openid", openid),
            ("signature", signature.as_str()),
            ("sig_method", "hmac_sha256"),
        ];
        let request = self.http.get(self.url("/wxa/checksession", &query));
        let texts = [token.expose(), signature.as_str()];
        let hidden = Hidden(&texts);
        match self.ask_with_token(app, request, &hidden, deadline).await {
            Ok(_) => Ok(true),
            Err(error) if error.session_key_is_stale() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
