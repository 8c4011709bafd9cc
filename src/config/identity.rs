//! `[identity]`.

use std::ops::Range;

use http::HeaderName;

use super::headers;
use super::keys;
use super::reader::{Fault, Reader, Value, choice, did_you_mean, map, text};
use crate::http::names::folded;

/// `[identity]`: the headers that carry the user to the upstream, presets included.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Header and what it says. Default X-Openid, X-User-Id, X-Unionid, X-Wx-Appid; `preset =
    /// "wxcloudrun"` adds X-WX-OPENID, X-WX-UNIONID, X-WX-APPID and X-WX-SOURCE.
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
    /// `{claim.NAME}`.
    Claim(String),
    /// `{nickname}`.
    Nickname,
    /// `{avatar}`.
    Avatar,
    /// `{phone}`.
    Phone,
}

/// The headers of `preset = "wxcloudrun"`, the names that WeChat's own cloud hosting uses.
const WXCLOUDRUN: [(&str, &str); 4] = [
    ("x-wx-openid", "{openid}"),
    ("x-wx-unionid", "{unionid}"),
    ("x-wx-appid", "{appid}"),
    ("x-wx-source", "wx_client"),
];

/// The fields of a template.
const FIELDS: &str =
    "{openid}, {user_id}, {unionid}, {appid}, {claim.NAME}, {nickname}, {avatar}, {phone}";

impl Identity {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let sign = table.table("sign");
        sign.later("secret", r#""""#);
        sign.later("header", r#""X-Gateway-Signature""#);
        sign.finish();
        let written = table.key(&keys::identity::HEADERS, map(header));
        let preset = table.key(
            &keys::identity::PRESET,
            choice(&[("", &WXCLOUDRUN[..0]), ("wxcloudrun", &WXCLOUDRUN[..])]),
        );
        table.finish();
        let mut identity = Self {
            headers: Vec::new(),
        };
        for (at, name, template) in written? {
            identity.add(table, "headers", name, template, at);
        }
        for (name, template) in preset? {
            let template = Template::parse(template).ok()?;
            identity.add(
                table,
                "preset",
                HeaderName::from_static(name),
                template,
                table.at("preset"),
            );
        }
        Some(identity)
    }

    /// Adds a header, once: PHP reads names that differ in case or marks as one, so they must not
    /// say two things.
    fn add(
        &mut self,
        table: &Reader<'_>,
        key: &str,
        name: HeaderName,
        template: Template,
        at: Range<usize>,
    ) {
        let plain = folded(name.as_str());
        match self
            .headers
            .iter()
            .find(|(known, _)| folded(known.as_str()) == plain)
        {
            None => self.headers.push((name, template)),
            Some((_, known)) if *known == template => {}
            Some((known, _)) if *known == name => {
                let message = format!("identity.{key}: `{name}` has another value already");
                table
                    .cx
                    .error(at, message, Some("keep one of the two".to_owned()));
            }
            Some((known, _)) => {
                let message = format!(
                    "identity.{key}: `{name}` and `{known}` are one header to PHP and CGI, with two values"
                );
                let help = Some("keep one of the two".to_owned());
                table.cx.error(at, message, help);
            }
        }
    }
}

/// Where the header's name stands, the name, and what it says.
fn header(name: &Value<'_>, value: &Value<'_>) -> Option<(Range<usize>, HeaderName, Template)> {
    let at = name.span.clone();
    let name = text(|text: &str| {
        let name = headers::name(text)?;
        headers::free_for_identity(&name)?;
        Ok(name)
    })(name);
    let template = text(Template::parse)(value);
    let (name, template) = name.zip(template)?;
    Some((at, name, template))
}

impl Template {
    /// Text, and what `FIELDS` names in braces.
    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty()
            || text.trim() != text
            || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        {
            return Err(Fault::new("is not a header value")
                .help(format!("use visible ASCII characters and {FIELDS}")));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((plain, tail)) = rest.split_once('{') {
            if !plain.is_empty() {
                parts.push(TemplatePart::Text(plain.to_owned()));
            }
            let Some((field, tail)) = tail.split_once('}') else {
                return Err(Fault::new("has a `{` without a `}`"));
            };
            parts.push(TemplatePart::field(field)?);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl TemplatePart {
    /// What stands between braces.
    fn field(field: &str) -> Result<Self, Fault> {
        const NAMES: [&str; 7] = [
            "openid", "user_id", "unionid", "appid", "nickname", "avatar", "phone",
        ];
        Ok(match field {
            "openid" => Self::Openid,
            "user_id" => Self::UserId,
            "unionid" => Self::Unionid,
            "appid" => Self::Appid,
            "nickname" => Self::Nickname,
            "avatar" => Self::Avatar,
            "phone" => Self::Phone,
            _ => match field.strip_prefix("claim.") {
                Some(name) if is_claim_name(name) => Self::Claim(name.to_owned()),
                Some(_) => {
                    return Err(
                        Fault::new(format!("has {{{field}}}, which no claim is called"))
                            .help("1 to 32 small letters, digits and `_`, a letter first")
                            .with_pieces(),
                    );
                }
                None => {
                    let help = did_you_mean(field, NAMES.into_iter());
                    let help = help.unwrap_or_else(|| format!("there are {FIELDS}"));
                    return Err(
                        Fault::new(format!("has {{{field}}}, which no identity holds"))
                            .help(help)
                            .with_pieces(),
                    );
                }
            },
        })
    }
}

/// Whether a claim may be called so: 1 to 32 small letters, digits and `_`, a letter first.
#[must_use]
pub fn is_claim_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
}
