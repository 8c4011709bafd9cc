//! The wire shapes of login responses and refusals.

use http::StatusCode;
use toml::de::DeValue;

use super::keys;
use super::reader::{Fault, Reader, Value, choose, did_you_mean, integer, text};

/// The wire shape of login answers and refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// `{"skey", "expires_in", "user_id", "is_new"}`; refusals with `error`, `errcode`, `errmsg`,
    /// `request_id`.
    Plain,
    /// `{"token", "expires_in", "user_id"}`; refusals with `errcode`, `errmsg`, `request_id`.
    Token,
    /// `{"sessionid", "expires_in"}`; refusals as `token`.
    Sessionid,
    /// What the SDK of wafer 1 understands: its magic key, `session` with `id` and `skey`; refusals
    /// with the key only where the SDK is to forget its session.
    Wafer1,
    /// `{"code":0,"data":{"skey","userinfo"}}`; refusals as `plain` with `code` and `message`, -1
    /// for not_logged_in alone.
    Wafer2,
    /// As `plain`, with `errcode` 0 and `errmsg` in login answers; every refusal is HTTP 200.
    Errcode200,
    /// A table of one's own.
    Custom(CustomStyle),
}

/// A style of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomStyle {
    /// JSON text of a login answer; `{skey}`, `{expires_in}`, `{user_id}`, `{openid}`, `{is_new}`
    /// are filled in. Required, must be JSON after filling.
    pub login: String,
    /// HTTP status of refusals; `None`: the one of the error.
    pub refusal_status: Option<StatusCode>,
    /// JSON text of a refusal; `{error}`, `{errcode}`, `{errmsg}`, `{request_id}` are filled in.
    /// `None`: as `plain`.
    pub refusal: Option<String>,
}

/// The names of the styles that have one.
const STYLES: [(&str, Style); 6] = [
    ("plain", Style::Plain),
    ("token", Style::Token),
    ("sessionid", Style::Sessionid),
    ("wafer1", Style::Wafer1),
    ("wafer2", Style::Wafer2),
    ("errcode200", Style::Errcode200),
];

/// The fields of a login response, each with a sample.
const LOGIN_FIELDS: [(&str, &str); 5] = [
    ("skey", "k"),
    ("expires_in", "604800"),
    ("user_id", ""),
    ("openid", "o"),
    ("is_new", "true"),
];

/// The fields of a refusal, each with a sample.
const REFUSAL_FIELDS: [(&str, &str); 4] = [
    ("error", "not_logged_in"),
    ("errcode", "40001"),
    ("errmsg", "not logged in"),
    ("request_id", "r"),
];

impl Style {
    /// The key `style` of a table: a name or a table of one's own.
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let custom = CustomStyle::read(&table.table_value("style"));
        table.key(&keys::style::STYLE, move |value| match value.item {
            DeValue::Table(_) => custom.clone().map(Self::Custom),
            _ => text(|text: &str| choose(text, &STYLES))(value),
        })
    }
}

impl CustomStyle {
    fn read(table: &Reader<'_>) -> Option<Self> {
        let login = table.required(&keys::style::CUSTOM_LOGIN, text(login_template));
        let refusal_status = table.optional(&keys::style::CUSTOM_REFUSAL_STATUS, status);
        let refusal = table.optional(
            &keys::style::CUSTOM_REFUSAL,
            text(|text: &str| template(text, &REFUSAL_FIELDS)),
        );
        table.finish();
        Some(Self {
            login: login?,
            refusal_status,
            refusal,
        })
    }
}

/// An HTTP status that ends a request.
pub(super) fn status(value: &Value<'_>) -> Option<StatusCode> {
    integer(200..=599_u16)(value).and_then(|status| StatusCode::from_u16(status).ok())
}

fn login_template(text: &str) -> Result<String, Fault> {
    let login = template(text, &LOGIN_FIELDS)?;
    if !login.contains("{skey}") {
        return Err(Fault::about("the login response has no {skey}").help(
            "without it no client can log in; write \"{skey}\" where the client looks for it",
        ));
    }
    Ok(login)
}

/// A JSON text with `{name}` places, checked by filling in samples.
fn template(text: &str, fields: &[(&str, &str)]) -> Result<String, Fault> {
    let mut filled = text.to_owned();
    for (name, sample) in fields {
        filled = filled.replace(&format!("{{{name}}}"), sample);
    }
    if let Some(name) = placeholder(&filled) {
        let known: Vec<String> = fields
            .iter()
            .map(|(name, _)| format!("{{{name}}}"))
            .collect();
        let help = did_you_mean(name, fields.iter().map(|(name, _)| *name))
            .unwrap_or_else(|| format!("there are {}", known.join(", ")));
        return Err(Fault::about(format!("there is no {{{name}}} to fill in"))
            .help(help)
            .with_pieces());
    }
    match serde_json::from_str::<serde_json::Value>(&filled) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(
            Fault::about(format!("is not JSON once it is filled in: {error}"))
                .help("texts need quotes of their own: {\"token\":\"{skey}\"}")
                .with_pieces(),
        ),
    }
}

/// The first `{name}` in a text; JSON's own braces are followed by a quote, a blank or a brace.
fn placeholder(text: &str) -> Option<&str> {
    text.split('{').skip(1).find_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let word = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        word.then_some(name)
    })
}
