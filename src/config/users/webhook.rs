//! `[users.webhook]`: the operator's service, called at each login. `[users.merged]`: how upstreams
//! learn of merges.

use std::ops::RangeInclusive;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{UserStore, Users};
use crate::config::address::authority;
use crate::config::identity::{Identity, Template, TemplatePart};
use crate::config::keys;
use crate::config::reader::{Fault, Key, Reader, Value, duration, text_or_none};
use crate::secret::Secret;

/// A service that is sent signed messages.
#[derive(Clone)]
pub struct Webhook {
    /// `http://` or `https://`, without user and fragment. Not for logs: path and query are the
    /// service's own.
    pub url: String,
    /// Signs each message; at least 32 characters.
    pub secret: Secret,
    /// Time for one message, from connecting to the end of the answer.
    pub timeout: Duration,
    /// PEM certificates that the server's must lead to. `None`: the public ones and the system's.
    pub ca: Option<String>,
}

/// `[users.merged]`: handling of users that turn out to be one person.
#[derive(Debug, Clone, Copy)]
pub struct Merged {
    /// How long `X-User-Id-Merged-From` is sent. Default `"30d"`; `None` is `"none"`.
    pub header_for: Option<Duration>,
}

/// Characters that a secret has at least.
const SECRET_LENGTH: usize = 32;
/// A login has 5 s, and WeChat needs some of them.
const LOGIN_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(4);
/// Redis counts in whole seconds, and a header that never ends is none of a time.
const HEADER_FOR: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);

impl Webhook {
    /// `[users.webhook]`. `None` when no service is named, which is reported where one is `wanted`.
    pub(super) fn read(table: &Reader<'_>, wanted: bool) -> Option<Self> {
        let url = table.optional(&keys::users::WEBHOOK_URL, text_or_none(url));
        let secret = secret(
            table,
            &keys::users::WEBHOOK_SECRET,
            &keys::users::WEBHOOK_SECRET_FILE,
        );
        let timeout = table.key(&keys::users::WEBHOOK_TIMEOUT, duration(LOGIN_TIMEOUT));
        let path = |text: &str| Ok(text.to_owned());
        let ca_file = table.key(&keys::users::WEBHOOK_CA_FILE, text_or_none(path));
        table.finish();
        let ca = match ca_file? {
            Some(path) => Some(certificates(table, &path)?),
            None => None,
        };
        let url = match url {
            None if table.has("url") => return None,
            url => url.flatten(),
        };
        if url.is_none() && wanted {
            let help = "write https://host/path of the service that knows your users".to_owned();
            table.error("url", "is needed for users.store = \"webhook\"", Some(help));
        }
        Some(Self {
            url: url?,
            secret: needed(table, secret)?,
            timeout: timeout?,
            ca,
        })
    }
}

impl Merged {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let header_for = table.key(&keys::users::MERGED_HEADER_FOR, header_for);
        table.finish();
        Some(Self {
            header_for: header_for?,
        })
    }
}

/// Warns of a header for a claim where there is no webhook.
pub(in crate::config) fn warn(table: &Reader<'_>, users: &Users, identity: &Identity) {
    let is_claim = |part: &TemplatePart| matches!(part, TemplatePart::Claim(_));
    let told = |(_, template): &&(_, Template)| template.0.iter().any(is_claim);
    if let Some((header, _)) = identity.headers.iter().find(told)
        && !matches!(users.store, UserStore::Webhook(_))
    {
        let what = format!(
            "the header `{header}` of identity.headers tells a claim, and only a webhook makes any"
        );
        let help = "write users.store = \"webhook\", or leave the header out";
        table.warning("store", &what, help);
    }
}

// Written by hand: path and query may hold secrets of the service.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// `Some(None)` when there is none; the outer `None` for what was reported.
fn secret(table: &Reader<'_>, key: &'static Key, file_key: &'static Key) -> Option<Option<Secret>> {
    let problems = table.cx.found.borrow().len();
    let Some(secret) = table.secret(key, file_key) else {
        return (table.cx.found.borrow().len() == problems).then_some(None);
    };
    if secret.expose().chars().count() >= SECRET_LENGTH {
        return Some(Some(secret));
    }
    let name = match table.has("secret_file") {
        true => "secret_file",
        false => "secret",
    };
    let help = "make one with `openssl rand -base64 32`".to_owned();
    let what = format!("is shorter than {SECRET_LENGTH} characters");
    table.error(name, &what, Some(help));
    None
}

/// The secret, which has to be there.
fn needed(table: &Reader<'_>, secret: Option<Option<Secret>>) -> Option<Secret> {
    let secret = secret?;
    if secret.is_none() {
        let help = "write the value, `${VARIABLE}`, or secret_file = \"PATH\"; make one with `openssl rand -base64 32`";
        table.error(
            "secret",
            "is needed: it authenticates the gateway to the service",
            Some(help.to_owned()),
        );
    }
    secret
}

/// The text of a file with certificates.
fn certificates(table: &Reader<'_>, path: &str) -> Option<String> {
    let text = table.open_file(&keys::users::WEBHOOK_CA_FILE, path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    if read.is_ok_and(|found| !found.is_empty()) {
        return Some(text);
    }
    let help = "a file with lines -----BEGIN CERTIFICATE-----".to_owned();
    table.error("ca_file", "holds no certificate in PEM", Some(help));
    None
}

fn header_for(value: &Value<'_>) -> Option<Option<Duration>> {
    if value.item.as_str() == Some("none") {
        return Some(None);
    }
    duration(HEADER_FOR)(value).map(Some)
}

/// A URL of http. No message quotes it.
fn url(text: &str) -> Result<String, Fault> {
    let shape = "write https://host/path, or http:// inside your own network";
    let wrong = |what: &str| Err(Fault::about(what).help(shape));
    let Some(("http" | "https", rest)) = text.split_once("://") else {
        return wrong("is not a URL of http or https");
    };
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("has characters that a URL cannot hold");
    }
    if rest.contains('#') {
        return wrong("has a `#`, and what follows is not sent");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, _) = rest.split_at(end);
    if place.contains('@') {
        return Err(Fault::about("has a user name or password")
            .help("leave it out: the signature authenticates the gateway"));
    }
    match authority(place) {
        Some((host, _)) if !host.is_empty() => Ok(text.to_owned()),
        _ => wrong("has no valid host and port"),
    }
}
