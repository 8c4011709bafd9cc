//! Who is calling: what a session proves and the upstream is told.

/// A caller whose session was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The mini program the user logged in to.
    pub appid: String,
    /// WeChat's id of the user in that mini program, 1 to 128 visible ASCII characters.
    pub openid: String,
    /// WeChat's id of the user over all apps of one open-platform account, where WeChat tells it.
    pub unionid: Option<String>,
    /// Our id of the user; `None` where `users.store = "off"`.
    pub user_id: Option<String>,
}
