//! The identity of a user: what a session proves, and what the upstream gets in headers.

use std::collections::BTreeMap;
use std::fmt;

/// Says which id the user had before a merge. Written by the gateway whatever the file says.
pub const MERGED_FROM_HEADER: &str = "x-user-id-merged-from";

/// Names that identify a caller somewhere and are therefore removed from every request, also where
/// they are not configured: our defaults, those of WeChat Cloud Run, which a backend that came from
/// there still believes, and the session's of wafer 1.
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
    /// WeChat's id of the user over all apps of one open-platform account, where WeChat tells it.
    pub unionid: Option<String>,
    /// Our id of the user; `None` where `users.store = "off"`.
    pub user_id: Option<String>,
    /// The rest of what the directory knows.
    pub attributes: Attributes,
}

/// Attributes of a user besides the id. Copied into each session of the user, so that a request
/// costs no second look-up. Debug prints none of them: they are personal.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Claims from the webhook, by name.
    pub claims: BTreeMap<String, String>,
    /// The name the user chose.
    pub nickname: Option<String>,
    /// The picture: an https URL or a path.
    pub avatar: Option<String>,
    /// The phone number as WeChat verified it, with the country's code where it is not China's.
    pub phone: Option<String>,
    /// The id that the user had before a merge with an older one.
    pub merged_from: Option<Merged>,
}

/// A user id that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The id.
    pub user_id: String,
    /// How long upstreams are told; seconds since 1970.
    pub until: u64,
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes(..)")
    }
}

/// The key of one user: the user id, or app and openid where there are no ids.
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
    /// The key of this user.
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
