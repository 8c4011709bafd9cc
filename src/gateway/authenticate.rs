//! Step 8: extracts the skey and authenticates the request.

use hyper::body::Body as _;

use super::snapshot::Snapshot;
use super::{RequestContext, upstream_request};
use crate::auth::{self, Caller, ExtractedToken, SearchedHead};
use crate::config::{Auth, Route, TokenSource};
use crate::error::Error;
use crate::request_log::AuthOutcome;
use crate::session::Session;

impl Snapshot {
    /// Extracts the skey from the request and looks up its session.
    pub(super) async fn authenticate(
        &self,
        route: &Route,
        context: &mut RequestContext<'_, '_>,
    ) -> Result<(Option<Session>, upstream_request::ReadBody), Error> {
        let limit = route.max_body;
        let length = context.body.size_hint().lower();
        if limit.is_some_and(|limit| length > limit) {
            return Err(Error::BodyTooLarge);
        }
        let (taken, body) = self.take_skey(&route.token_from, limit, context).await?;
        let decision =
            auth::authenticate(&self.sessions, route.auth, route.on_bad_token, &taken).await;
        let record = &mut context.outcome.record;
        record.store_time = decision.store_time;
        record.token_source = taken.source;
        match decision.caller {
            Ok(Caller::Anonymous) => {
                record.auth = match route.auth {
                    Auth::Off => AuthOutcome::Off,
                    Auth::Optional | Auth::Required => AuthOutcome::Anonymous,
                };
                Ok((None, body))
            }
            Ok(Caller::User(session)) => {
                record.auth = AuthOutcome::User;
                record.user_id.clone_from(&session.identity.user_id);
                record.appid = Some(session.identity.appid.clone());
                Ok((Some(session), body))
            }
            Err(error) => {
                record.auth = AuthOutcome::of(&error);
                Err(error)
            }
        }
    }

    /// Searches the head and, if a source is in the body, the body. Values that are an skey by
    /// another route's sources are removed as well.
    pub(super) async fn take_skey(
        &self,
        sources: &[TokenSource],
        max_body: Option<u64>,
        context: &mut RequestContext<'_, '_>,
    ) -> Result<(ExtractedToken, upstream_request::ReadBody), Error> {
        let headers = &mut context.head.parts.headers;
        let mut head = SearchedHead {
            headers,
            query: &mut context.query,
        };
        let mut taken = auth::take_from_head(&mut head, sources);
        // Usually all routes have the same sources, which the first pass has already emptied.
        if !self
            .every_source
            .iter()
            .all(|place| sources.contains(place))
        {
            auth::strip_from_head(&mut head, &self.every_source);
        }
        let body = upstream_request::read_for_token(
            context,
            sources,
            max_body,
            self.server.body_timeout,
            &mut taken,
        )
        .await?;
        Ok((taken, body))
    }
}
