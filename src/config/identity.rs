//! `[identity]`.

use http::HeaderName;

/// `[identity]`: the headers that tell the upstream who is calling, presets included.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Header and what it says. Default X-Openid, X-User-Id, X-Unionid, X-Wx-Appid; `preset = "wxcloudrun"` adds X-WX-OPENID,
    /// X-WX-UNIONID, X-WX-APPID and X-WX-SOURCE.
    pub headers: Vec<(HeaderName, Template)>,
}

/// A header value made from an identity, e.g. `"{openid}"` or `"user-{user_id}"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

/// One piece of a `Template`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// Written as it is; visible ASCII.
    Text(String),
    /// `{openid}`.
    Openid,
    /// `{user_id}`.
    UserId,
    /// `{unionid}`.
    Unionid,
    /// `{appid}`.
    Appid,
}
