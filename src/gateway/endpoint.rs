//! Maps paths to the gateway's own endpoints, with their methods, quota and style.

use std::sync::Arc;

use hyper::Method;

use super::snapshot::{CompiledLogin, Snapshot};
use crate::access_token::AccessTokens;
use crate::config::{ProfileField, Quota, Style};
use crate::error::Error;

/// Prefix of all paths of the gateway's own but logins.
const OWN_PREFIX: &str = "/_gateway";
const LOGOUT: &str = "/_gateway/logout";
const ME: &str = "/_gateway/me";
const DECRYPT: &str = "/_gateway/decrypt";
const PHONE: &str = "/_gateway/phone";

/// An endpoint of the gateway's own.
#[derive(Clone, Copy)]
pub(super) enum Endpoint<'a> {
    Login(&'a CompiledLogin),
    Logout,
    /// Whether users can change any part of their profile.
    Me(Profiled),
    Decrypt,
    Phone(&'a Arc<AccessTokens>),
    /// Below the prefix, but no endpoint.
    Unknown,
}

/// Whether a nickname or an avatar is kept.
#[derive(Clone, Copy)]
pub(super) enum Profiled {
    Yes,
    No,
}

impl<'a> Endpoint<'a> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Login(_) => "login",
            Self::Logout => "logout",
            Self::Me(_) => "me",
            Self::Decrypt => "decrypt",
            Self::Phone(_) => "phone",
            Self::Unknown => "unknown",
        }
    }

    /// Refuses methods that the endpoint does not have.
    pub(super) fn check_method(&self, method: &Method) -> Result<(), Error> {
        let methods: &[Method] = match self {
            Self::Login(entry) => &entry.config.methods,
            Self::Logout | Self::Decrypt | Self::Phone(_) => &[Method::POST],
            Self::Me(Profiled::No) => &[Method::GET],
            Self::Me(Profiled::Yes) => &[Method::GET, Method::PATCH, Method::POST],
            Self::Unknown => return Err(Error::NoRoute),
        };
        if methods.contains(method) {
            return Ok(());
        }
        let allow = methods
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        Err(Error::MethodNotAllowed { allow })
    }

    /// The quota per client address. Logout, me and the like have that of the first login, in a
    /// bucket of their own.
    pub(super) fn quota(&self, snapshot: &Snapshot) -> Option<Quota> {
        match self {
            Self::Login(entry) => entry.config.rate_limit,
            Self::Logout | Self::Me(_) | Self::Decrypt | Self::Phone(_) => {
                snapshot.login_entries.first()?.config.rate_limit
            }
            Self::Unknown => None,
        }
    }

    /// The style of a login entry; for the other endpoints that of the first login, since a client
    /// speaks one.
    pub(super) fn style(&self, snapshot: &'a Snapshot) -> &'a Style {
        let entry = match self {
            Self::Login(entry) => Some(*entry),
            Self::Logout | Self::Me(_) | Self::Decrypt | Self::Phone(_) | Self::Unknown => {
                snapshot.login_entries.first()
            }
        };
        entry.map_or(&Style::Plain, |entry| &entry.config.style)
    }
}

impl Snapshot {
    /// The endpoint at a path; `None` where routes apply.
    pub(super) fn endpoint(&self, path: &str) -> Option<Endpoint<'_>> {
        if let Some(entry) = self
            .login_entries
            .iter()
            .find(|entry| entry.config.path == path)
        {
            return Some(Endpoint::Login(entry));
        }
        let below = path.strip_prefix(OWN_PREFIX)?;
        match (path, &self.phone) {
            (PHONE, Some(tokens)) => Some(Endpoint::Phone(tokens)),
            (LOGOUT, _) => Some(Endpoint::Logout),
            (ME, _) => Some(Endpoint::Me(self.profiled())),
            (DECRYPT, _) => Some(Endpoint::Decrypt),
            _ if below.is_empty() || below.starts_with('/') => Some(Endpoint::Unknown),
            _ => None,
        }
    }

    /// Whether any stored field can be changed by users.
    fn profiled(&self) -> Profiled {
        match self.logins.kept() {
            [] | [ProfileField::Phone] => Profiled::No,
            _ => Profiled::Yes,
        }
    }
}
