//! `[decrypt]`.

use super::keys;
use super::paths;
use super::reader::{Reader, boolean, choice, text_or_none};

/// `[decrypt]`: who gets what WeChat encrypted for a user.
#[derive(Debug, Clone)]
pub struct Decrypt {
    /// `deliver`: `None` is `"client"`, the default.
    pub delivery: Option<Delivery>,
    /// Whether WeChat is asked about the session_key when data does not open. Default false.
    pub checksession: bool,
}

/// Where what was decrypted is posted to, with `deliver = "upstream"`.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The name of an upstream.
    pub upstream: String,
    /// Exact and canonical. No route leads there.
    pub path: String,
}

/// Not written or wrong; or empty; or a value.
type Written = Option<Option<String>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deliver {
    Client,
    Upstream,
}

const DELIVER: [(&str, Deliver); 2] =
    [("client", Deliver::Client), ("upstream", Deliver::Upstream)];

impl Decrypt {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let deliver = table.key(&keys::decrypt::DELIVER, choice(&DELIVER));
        let name = text_or_none(|text| Ok(text.to_owned()));
        let upstream = table.optional(&keys::decrypt::UPSTREAM, name);
        let path = table.optional(&keys::decrypt::PATH, text_or_none(paths::exact_path));
        let checksession = table.key(&keys::decrypt::CHECKSESSION, boolean);
        table.finish();
        match deliver? {
            Deliver::Client => {
                let written = |name: &str, value: &Written| {
                    if matches!(value, Some(Some(_))) {
                        let what = "says something only where deliver = \"upstream\"";
                        table.error(name, what, Some("leave it out".to_owned()));
                    }
                };
                written("upstream", &upstream);
                written("path", &path);
                Some(Self {
                    delivery: None,
                    checksession: checksession?,
                })
            }
            Deliver::Upstream => {
                let needed = |name: &str, value: Written| match value {
                    None if table.has(name) => None,
                    value => value.flatten().or_else(|| table.missing(name)),
                };
                let upstream = needed("upstream", upstream);
                let path = needed("path", path);
                let delivery = Delivery {
                    upstream: upstream?,
                    path: path?,
                };
                Some(Self {
                    delivery: Some(delivery),
                    checksession: checksession?,
                })
            }
        }
    }
}
