//! The result of a successful login, which `style` formats. It is sealed in Redis for equal logins,
//! so its field names are a stored format.

use serde::{Deserialize, Serialize};

/// The data of a successful login. No derived Debug: it holds an skey.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginResult {
    /// The skey.
    pub skey: String,
    /// When it expires if unused; seconds since 1970.
    pub expires_at: u64,
    /// The user id; `None` without a user directory.
    pub user_id: Option<String>,
    /// The user's openid.
    pub openid: String,
    /// The mini program.
    pub appid: String,
    /// Whether this is the user's first login.
    pub is_new: bool,
}

impl std::fmt::Debug for LoginResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginResult(..)")
    }
}
