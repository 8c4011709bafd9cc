//! Explains how a request would be handled, from its head alone: the decision that forwarding
//! makes, then the head for the upstream. Calls neither store nor upstream; any skey counts as
//! valid.

use std::net::{IpAddr, Ipv4Addr};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::Gateway;
use super::decision::{Decision, Head, decide};
use super::snapshot::{RouteTarget, Snapshot};
use super::upstream_request::{Sender, target};
use crate::auth::{self, Credential};
use crate::config::{Auth, ProfileField, Quota};
use crate::error::{Error, ErrorResponse};
use crate::http::address::Peer;
use crate::http::framing;
use crate::http::request_id::RequestId;
use crate::identity::{Attributes, Identity};

/// The results up to the step that refused the request, if any.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The canonical path.
    pub path: Option<String>,
    /// The route and its auth.
    pub route: Option<(String, Auth)>,
    /// The gateway's own endpoint, if the path names one.
    pub endpoint: Option<&'static str>,
    /// The limits that count the request, as written in gateway.toml; for logout and me the first
    /// login's.
    pub limits: Vec<(&'static str, Quota)>,
    /// The place of the skey.
    pub skey: Option<&'static str>,
    /// The forwarded request.
    pub forwarding: Option<Forwarding>,
    /// The status of the route's fixed response.
    pub responds: Option<u16>,
    /// The refusal and its cause.
    pub refusal: Option<(ErrorResponse, String)>,
}

/// The request as the upstream gets it.
#[derive(Debug)]
pub struct Forwarding {
    /// Name and address.
    pub upstream: (String, String),
    /// Path and query.
    pub target: String,
    /// All headers that the upstream gets.
    pub headers: HeaderMap,
    /// Headers that the upstream does not get.
    pub removed: Vec<HeaderName>,
    /// Headers that are added or changed.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

impl Gateway {
    /// Runs the steps on a request's head, as if it came from 192.0.2.1, a documentation address.
    #[must_use]
    pub fn explain(&self, parts: Parts) -> Explanation {
        let snapshot = self.snapshot();
        let mut explanation = Explanation::default();
        if let Err(error) = snapshot.explain(parts, &mut explanation) {
            explanation.refusal = Some((error.response(), error.to_string()));
        }
        explanation
    }
}

impl Snapshot {
    fn explain(&self, parts: Parts, explanation: &mut Explanation) -> Result<(), Error> {
        let came = parts.headers.clone();
        framing::check_written_out(&parts, self.server.max_header_bytes)?;
        let uri = parts.uri.clone();
        let mut head = Head::new(parts, &uri);
        let decided = decide(self, &mut head);
        explanation.note_decision(&head, self);
        let Decision::Route(route) = decided? else {
            return Ok(());
        };
        let config = &route.config;
        let mut query = uri.query().map(str::to_owned);
        let mut places = auth::SearchedHead {
            headers: &mut head.parts.headers,
            query: &mut query,
        };
        let token = auth::take_from_head(&mut places, &config.token_from);
        auth::strip_from_head(&mut places, &self.every_source);
        explanation.skey = token.source;
        let identity = match auth::credential(config.auth, config.on_bad_token, &token)? {
            Credential::Anonymous => None,
            Credential::Skey(_) => Some(placeholder(self.logins.kept())),
        };
        match &route.target {
            RouteTarget::Respond(respond) => explanation.responds = Some(respond.status.as_u16()),
            RouteTarget::Forward(upstream) => {
                let target = target(config, head.path(), query.as_deref())?;
                let sender = Sender {
                    peer: &Peer::ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
                    trusted: false,
                    authority: head.authority.as_ref(),
                    id: &RequestId::example(),
                };
                let parts = &mut head.parts;
                self.upstream_headers(parts, &sender, config, identity.as_ref());
                let attempt = upstream.preview(&mut parts.headers)?;
                let goes = std::mem::take(&mut parts.headers);
                explanation.forwarding = Some(Forwarding {
                    upstream: (attempt.upstream.to_string(), attempt.address.to_string()),
                    target: target.to_string(),
                    removed: came
                        .keys()
                        .filter(|name| !goes.contains_key(*name))
                        .cloned()
                        .collect(),
                    set: changed(&came, &goes),
                    headers: goes,
                });
            }
        }
        Ok(())
    }
}

impl Explanation {
    /// Copies the decision, as far as it went.
    fn note_decision(&mut self, head: &Head<'_>, snapshot: &Snapshot) {
        self.path = head.routed_path().map(str::to_owned);
        match head.decision {
            None => {}
            Some(Decision::Endpoint(endpoint)) => {
                self.endpoint = Some(endpoint.name());
                let quota = endpoint.quota(snapshot).map(|quota| ("address", quota));
                self.limits.extend(quota);
            }
            Some(Decision::Route(route)) => {
                let config = &route.config;
                self.route = Some((config.path.to_string(), config.auth));
                let limit = config.rate_limit;
                let per_address = limit.per_address.map(|quota| ("address", quota));
                let per_user = limit.per_user.map(|quota| ("user", quota));
                self.limits.extend(per_address.into_iter().chain(per_user));
            }
        }
    }
}

/// Placeholder identity of a caller with a good skey.
fn placeholder(kept: &[ProfileField]) -> Identity {
    let told = |field: ProfileField| kept.contains(&field).then(|| format!("({})", field.name()));
    Identity {
        appid: "(appid)".to_owned(),
        openid: "(openid)".to_owned(),
        unionid: Some("(unionid)".to_owned()),
        user_id: Some("(user_id)".to_owned()),
        attributes: Attributes {
            nickname: told(ProfileField::Nickname),
            avatar: told(ProfileField::Avatar),
            phone: told(ProfileField::Phone),
            ..Attributes::default()
        },
    }
}

fn changed(came: &HeaderMap, goes: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let is_new = |(name, value): &(&HeaderName, &HeaderValue)| {
        !came.get_all(*name).iter().any(|known| known == *value)
    };
    goes.iter()
        .filter(is_new)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
