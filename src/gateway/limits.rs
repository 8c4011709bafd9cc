//! Steps 7 and 8: who is counted by which limit. What a limit says of the caller goes into whatever answer the request ends in.

use super::RequestContext;
use super::snapshot::{CompiledRoute, Snapshot};
use super::upstream_request::ReadBody;
use crate::error::Error;
use crate::limit::{Limit, RateLimitKey};
use crate::session::Session;

impl Snapshot {
    /// Authenticates between the two limits: the address is counted before anything is asked about the caller, the user once it is
    /// known who he is. In a future of its own, whose place the forwarding takes afterwards.
    pub(super) async fn authorize(
        &self,
        route: &CompiledRoute,
        context: &mut RequestContext<'_, '_>,
    ) -> Result<(Option<Session>, ReadBody), Error> {
        let Some(limits) = &route.limits else {
            return self.authenticate(&route.config, context).await;
        };
        if let Some(limit) = &limits.per_address {
            self.count_by_address(limit, context).await?;
        }
        let (session, body) = self.authenticate(&route.config, context).await?;
        if let (Some(limit), Some(session)) = (&limits.per_user, &session) {
            let user = RateLimitKey::user(&session.identity);
            self.count(limit, user, context).await?;
        }
        Ok((session, body))
    }

    /// Counts a request of the client's address. Over a Unix socket nobody has one: all would be one, so nobody is counted.
    pub(super) async fn count_by_address(
        &self,
        limit: &Limit,
        context: &mut RequestContext<'_, '_>,
    ) -> Result<(), Error> {
        match context.outcome.record.client {
            Some(client) => {
                self.count(limit, RateLimitKey::address(client), context)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn count(
        &self,
        limit: &Limit,
        caller: RateLimitKey<'_>,
        context: &mut RequestContext<'_, '_>,
    ) -> Result<(), Error> {
        let (standing, counted) = match self.limits.count(limit, caller).await {
            Ok(standing) => (standing, Ok(())),
            Err(refused) => (refused.status, Err(Error::OverLimit(refused))),
        };
        let before = context.outcome.rate_limit.unwrap_or(standing);
        context.outcome.rate_limit = Some(standing.tighter(before));
        counted
    }
}
