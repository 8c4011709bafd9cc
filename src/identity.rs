//! The identity of a caller: proven by a session, sent to the upstream.

use std::collections::BTreeMap;
use std::fmt;

/// The header with the former id of a merged user. Written whatever the configuration says.
pub const MERGED_FROM_HEADER: &str = "x-user-id-merged-from";

/// Identity headers that are always removed from requests, also when they are not configured: the
/// defaults, those of WeChat Cloud Run, which a backend moved from there still trusts, and the
/// session headers of wafer 1.
pub const ALWAYS_STRIPPED: [&str; 13] = [
    "x-openid",
    "x-user-id",
    "x-unionid",
    "x-wx-appid",
    "x-wx-openid",
    "x-wx-unionid",
    "x-wx-from-openid",
    "x-wx-from-appid",
    "x-wx-from-unionid",
    "x-wx-source",
    "x-wx-env",
    "x-wx-id",
    MERGED_FROM_HEADER,
];

/// A user whose session was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The mini program the user logged in to.
    pub appid: String,
    /// WeChat's id of the user in that mini program, 1 to 128 visible ASCII characters.
    pub openid: String,
    /// WeChat's id of the user across all apps of one open-platform account, if WeChat reports it.
    pub unionid: Option<String>,
    /// The user id; `None` with `users.store = "off"`.
    pub user_id: Option<String>,
    /// Further attributes of the user.
    pub attributes: Attributes,
}

/// Attributes of a user in the directory besides the id. Copied into each session of the user, so
/// that a request needs no second look-up. `Debug` shows nothing, because the data is personal.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Claims from `users.webhook`, by name.
    pub claims: BTreeMap<String, String>,
    /// Nickname.
    pub nickname: Option<String>,
    /// Location of the avatar: an https URL or a path.
    pub avatar: Option<String>,
    /// Phone number as verified by WeChat, with the country code unless it is China's.
    pub phone: Option<String>,
    /// The id that the user had before it was merged into an older one.
    pub merged_from: Option<Merged>,
}

/// A user id that was merged into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The former id.
    pub user_id: String,
    /// End of the time in which upstreams get it; seconds since 1970.
    pub until: u64,
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes(..)")
    }
}

/// The key of a user: the user id, or app and openid where there are no user ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The user with this id.
    User(String),
    /// A user without an id.
    Openid {
        /// The mini program.
        appid: String,
        /// WeChat's id of the user in it.
        openid: String,
    },
}

impl Identity {
    /// The key of this caller.
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
