//! Calls of others, sent with our token: whatever of WeChat's server API an operator lets through.

use form_urlencoded::parse;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, Response};

use super::client::Wechat;
use super::error::WechatError;
use crate::secret::Secret;

/// The name of the query field that holds the token.
const ACCESS_TOKEN: &str = "access_token";

/// One call.
pub struct RelayedCall {
    /// GET or POST.
    pub method: Method,
    /// From the root, canonical.
    pub path: String,
    /// As it came; an access_token in it is dropped.
    pub query: Option<String>,
    /// What goes along, beside those of framing.
    pub headers: HeaderMap,
    /// `None`: no body.
    pub body: Option<Body>,
}

impl Wechat {
    /// The head of WeChat's answer, whatever it says; the body is still to be read. There is no deadline but that for connecting.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout` or `Dropped`.
    pub async fn relay(&self, call: RelayedCall, token: &Secret) -> Result<Response, WechatError> {
        let mut url = self.url(&call.path, &[(ACCESS_TOKEN, token.expose())]);
        let ours = url.query().unwrap_or_default().to_owned();
        let theirs = call.query.unwrap_or_default();
        let theirs = theirs.split('&').filter(|pair| {
            let name = parse(pair.as_bytes()).next();
            name.is_some_and(|(name, _)| name != ACCESS_TOKEN)
        });
        let pairs: Vec<&str> = [ours.as_str()].into_iter().chain(theirs).collect();
        url.set_query(Some(&pairs.join("&")));
        let mut request = self.http.request(call.method, url).headers(call.headers);
        if let Some(body) = call.body {
            request = request.body(body);
        }
        self.send(request).await
    }
}
