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

/// Who is one user to us: by his id, or by app and openid where there are no ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Has this user id.
    User(String),
    /// Has no user id.
    Openid {
        /// The mini program.
        appid: String,
        /// WeChat's id of the user in it.
        openid: String,
    },
}

impl Identity {
    /// The user that this caller is.
    #[must_use]
    pub fn holder(&self) -> Holder {
        match &self.user_id {
            Some(user_id) => Holder::User(user_id.clone()),
            None => Holder::Openid {
                appid: self.appid.clone(),
                openid: self.openid.clone(),
            },
        }
    }
}
