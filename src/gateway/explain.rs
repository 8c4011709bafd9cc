//! What would happen to a request, from its head alone: the decision that forwarding makes too, then the upstream's head. Neither
//! store nor upstream is asked; an skey is taken to be good.

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
use crate::error::{Error, ErrorAnswer};
use crate::http::address::Peer;
use crate::http::framing;
use crate::http::request_id::RequestId;
use crate::identity::{Attributes, Identity};

/// What is known about a request, as far as the steps went.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The one spelling of its path that counts.
    pub path: Option<String>,
    /// The route it takes, and what that asks of the caller.
    pub route: Option<(String, Auth)>,
    /// Our own endpoint, when it is one.
    pub endpoint: Option<&'static str>,
    /// The limits that count it, as they are written; the first login's for logout and me.
    pub limits: Vec<(&'static str, Quota)>,
    /// Where its skey was found.
    pub skey: Option<&'static str>,
    /// What would be forwarded.
    pub forwarding: Option<Forwarding>,
    /// The fixed answer's status, when the route answers by itself.
    pub responds: Option<u16>,
    /// How it would be refused, and why.
    pub refusal: Option<(ErrorAnswer, String)>,
}

/// A request as the upstream would get it.
#[derive(Debug)]
pub struct Forwarding {
    /// Name and address.
    pub upstream: (String, String),
    /// Path and query.
    pub target: String,
    /// Every header, as the upstream gets it.
    pub headers: HeaderMap,
    /// Headers that the upstream does not get.
    pub removed: Vec<HeaderName>,
    /// Headers that the upstream gets besides, or with another value.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

impl Gateway {
    /// Runs the steps on a request's head, as if it came from 192.0.2.1, a documentation address.
    #[must_use]
    pub fn explain(&self, parts: Parts) -> Explanation {
        let snapshot = self.snapshot();
        let mut explanation = Explanation::default();
        if let Err(error) = snapshot.explain(parts, &mut explanation) {
            explanation.refusal = Some((error.answer(), error.to_string()));
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
    /// What was decided, however far it went.
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
