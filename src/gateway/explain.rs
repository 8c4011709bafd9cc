//! What would happen to a request: the functions of the steps, in their order, run on a head alone. Neither store nor upstream is
//! asked; an skey is taken to be good.

use std::net::{IpAddr, Ipv4Addr};

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Uri};

use super::Gateway;
use super::outgoing::Sender;
use crate::auth::{self, Head, Question};
use crate::config::{Action, Auth, PathPolicy, ProfileField, Quota, Route};
use crate::error::{Error, ErrorAnswer};
use crate::http::address::Peer;
use crate::http::path::CanonicalPath;
use crate::http::request_id::RequestId;
use crate::http::{framing, host, method, target};
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
    /// Runs the steps on a request's head, as if it came from 192.0.2.1, an address of nobody.
    #[must_use]
    pub fn explain(&self, parts: Parts) -> Explanation {
        let mut explanation = Explanation::default();
        if let Err(error) = self.explain_steps(parts, &mut explanation) {
            explanation.refusal = Some((error.answer(), error.to_string()));
        }
        explanation
    }

    fn explain_steps(&self, mut parts: Parts, explanation: &mut Explanation) -> Result<(), Error> {
        let came = parts.headers.clone();
        framing::check_written_out(&parts, self.server.max_header_bytes)?;
        method::check(&parts.method)?;
        target::check(&parts)?;
        let authority = host::authority(&parts)?;
        self.policy.strip(&mut parts.headers);
        let uri: Uri = parts.uri.clone();
        let path = match self.server.path_policy {
            PathPolicy::Strict => Some(CanonicalPath::parse(uri.path())?),
            PathPolicy::Raw => None,
        };
        let text = path.as_ref().map_or(uri.path(), CanonicalPath::as_str);
        explanation.path = Some(text.to_owned());
        if let Some(endpoint) = self.endpoint(text) {
            explanation.endpoint = Some(endpoint.name());
            let quota = endpoint.quota(self).map(|quota| ("address", quota));
            explanation.limits.extend(quota);
            return endpoint.check_method(&parts.method);
        }
        let name = authority.as_ref().map(host::routing_name);
        let route = self.route(name.as_deref(), text, &parts)?;
        explanation.route = Some((route.path.to_string(), route.auth));
        let limit = route.rate_limit;
        let per_address = limit.per_address.map(|quota| ("address", quota));
        let per_user = limit.per_user.map(|quota| ("user", quota));
        explanation
            .limits
            .extend(per_address.into_iter().chain(per_user));
        if let Some(path) = &path {
            path.check_encoded(&route.allow_encoded)?;
        }
        let mut query = uri.query().map(str::to_owned);
        let mut head = Head {
            headers: &mut parts.headers,
            query: &mut query,
        };
        let taken = auth::take_from_head(&mut head, &route.token_from);
        auth::strip_from_head(&mut head, &self.every_source);
        explanation.skey = taken.source;
        let identity = match auth::question(route.auth, route.on_bad_token, &taken)? {
            Question::Anonymous => None,
            Question::WhoHas(_) => Some(somebody(self.logins.kept())),
        };
        match &route.action {
            Action::Respond(respond) => explanation.responds = Some(respond.status.as_u16()),
            Action::Forward(upstream) => {
                let target = self.target(route, text, query.as_deref())?;
                let sender = Sender {
                    peer: &Peer::ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
                    trusted: false,
                    authority: authority.as_ref(),
                    id: &RequestId::example(),
                };
                let address =
                    self.send_nowhere(&mut parts, &sender, upstream, route, identity.as_ref())?;
                explanation.forwarding = Some(Forwarding {
                    upstream: (upstream.clone(), address),
                    target: target.to_string(),
                    removed: came
                        .keys()
                        .filter(|name| !parts.headers.contains_key(*name))
                        .cloned()
                        .collect(),
                    set: changed(&came, &parts.headers),
                    headers: parts.headers,
                });
            }
        }
        Ok(())
    }

    fn send_nowhere(
        &self,
        parts: &mut Parts,
        sender: &Sender<'_>,
        upstream: &str,
        route: &Route,
        identity: Option<&Identity>,
    ) -> Result<String, Error> {
        let upstream = self.upstream(upstream)?;
        self.upstream_headers(parts, sender, route, identity);
        let attempt = upstream.preview(&mut parts.headers)?;
        Ok(attempt.address.to_string())
    }
}

/// Stands for whoever has the skey.
fn somebody(kept: &[ProfileField]) -> Identity {
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
