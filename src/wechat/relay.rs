//! Calls of backends to WeChat's server API, sent with the app's access_token.

use form_urlencoded::parse;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method, Response};

use super::client::Wechat;
use super::error::WechatError;
use crate::secret::Secret;

/// The name of the query field that holds the token.
const ACCESS_TOKEN: &str = "access_token";

/// One call to relay.
pub struct RelayedCall {
    /// GET or POST.
    pub method: Method,
    /// Absolute and canonical.
    pub path: String,
    /// As received; an access_token in it is dropped.
    pub query: Option<String>,
    /// Headers to send, besides those of framing.
    pub headers: HeaderMap,
    /// `None`: no body.
    pub body: Option<Body>,
}

impl Wechat {
    /// Returns the head of WeChat's response, of any content; the body is still to be read. Only
    /// connecting has a deadline.
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
