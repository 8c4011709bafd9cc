//! Steps 7 and 8: rate limits per address and per user. The tightest status is sent with the
//! response, whatever its outcome.

use super::RequestContext;
use super::snapshot::{CompiledRoute, Snapshot};
use super::upstream_request::ReadBody;
use crate::error::Error;
use crate::limit::{Limit, RateLimitKey};
use crate::session::Session;

impl Snapshot {
    /// Authenticates between the two limits: the address is counted before the store is called, the
    /// user once known. A separate future, whose memory forwarding reuses.
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

    /// Counts a request by client address. Clients on a Unix socket have no address and are not
    /// counted: they would all share one bucket.
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
