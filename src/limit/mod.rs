//! Rate limits per client address and per user, by the generic cell rate algorithm: a token bucket
//! that needs one number per caller. The count is kept in this process, in a table of fixed size.
//! With `rate_limit.shared` it is kept in Redis for all replicas; while Redis does not answer, the
//! table continues from Redis's last count. A limit never fails open and never fails a request.
//!
//! Not the `governor` crate: its map grows with every address and has to be swept, which a flood of
//! addresses exploits.

mod bucket;
mod caller;
mod shared;
mod table;
#[cfg(test)]
mod tests;
mod untrusted_proxy_hint;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::bucket::RateLimitStatus;
pub use self::caller::RateLimitKey;

use self::bucket::Bucket;
use self::shared::Shared;
use self::table::Table;
use self::untrusted_proxy_hint::UntrustedProxyHint;
use crate::config::{Config, Login, Quota, Route};
use crate::redis::RedisLink;

/// Every limit of a configuration, with its counts.
pub struct Limits {
    /// By `Route::number`; `None` where a route has no limit.
    routes: Vec<Option<RouteLimits>>,
    /// By `Login::number`.
    logins: Vec<Option<Limit>>,
    own: Option<Limit>,
    untrusted_proxy_hint: UntrustedProxyHint,
    shared: Option<Shared>,
}

/// The limits of one route.
pub struct RouteLimits {
    /// For each client address.
    pub per_address: Option<Limit>,
    /// For each user.
    pub per_user: Option<Limit>,
}

/// One limit, with a bucket for each caller.
pub struct Limit {
    bucket: Bucket,
    callers: Table,
    /// The limit's name in Redis, the same in every replica.
    scope: String,
    cause: Arc<str>,
}

/// Too many requests.
#[derive(Debug, Clone)]
pub struct RateLimitExceeded {
    /// The limit, for the log.
    pub cause: Arc<str>,
    /// The state of the caller's bucket.
    pub status: RateLimitStatus,
    /// Whole seconds until the next request is allowed; at least 1.
    pub retry_after: u32,
}

impl Limits {
    /// Limits without any counts. `redis` is used only with `rate_limit.shared`.
    #[must_use]
    pub fn new(config: &Config, redis: Option<&RedisLink>) -> Self {
        let route = |route: &Route| {
            let limit = |quota: Option<Quota>, key: &str| {
                let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
                let place = [
                    "route",
                    key,
                    &route.path.to_string(),
                    &route.hosts.join(" "),
                    &methods.join(" "),
                ];
                Some(Limit::new(
                    &quota?,
                    &place.join("\n"),
                    &format!("the route's {key}"),
                ))
            };
            let limits = RouteLimits {
                per_address: limit(route.rate_limit.per_address, "per_address"),
                per_user: limit(route.rate_limit.per_user, "per_user"),
            };
            (limits.per_address.is_some() || limits.per_user.is_some()).then_some(limits)
        };
        let login = |login: &Login| {
            let place = format!("login\n{}", login.path);
            Some(Limit::new(
                &login.rate_limit?,
                &place,
                "the login's per_address",
            ))
        };
        let own = config.login.first().and_then(|login| login.rate_limit);
        let shared = redis.filter(|_| config.rate_limit.shared);
        Self {
            routes: config.routes.iter().map(route).collect(),
            logins: config.login.iter().map(login).collect(),
            own: own.map(|quota| Limit::new(&quota, "own", "the first login's per_address")),
            untrusted_proxy_hint: UntrustedProxyHint::new(config.server.trusted_proxies.is_empty()),
            shared: shared.map(|link| Shared::new(link.clone(), &config.redis.key_prefix)),
        }
    }

    /// The limits of a route; `None` if it has none.
    #[must_use]
    pub fn route(&self, route: &Route) -> Option<&RouteLimits> {
        self.routes.get(route.number)?.as_ref()
    }

    /// The limit of a login. The client address also feeds the hint about an untrusted proxy.
    #[must_use]
    pub fn login(&self, login: &Login, client: Option<IpAddr>) -> Option<&Limit> {
        self.untrusted_proxy_hint.note(client);
        self.logins.get(login.number)?.as_ref()
    }

    /// The limit of logout and me: the quota of the first login in a bucket of its own, so that
    /// neither exhausts the other.
    #[must_use]
    pub fn own(&self) -> Option<&Limit> {
        self.own.as_ref()
    }

    /// Counts one request.
    ///
    /// # Errors
    /// The caller's bucket is empty. The request is not counted then, so a retry costs nothing.
    pub async fn count(
        &self,
        limit: &Limit,
        caller: RateLimitKey<'_>,
    ) -> Result<RateLimitStatus, RateLimitExceeded> {
        match &self.shared {
            None => limit.count(caller),
            // Boxed, or the future of every request would be as large as this one.
            Some(shared) => Box::pin(shared.count(limit, caller)).await,
        }
    }
}

impl Limit {
    fn new(quota: &Quota, place: &str, name: &str) -> Self {
        Self {
            bucket: Bucket::new(quota),
            callers: Table::new(),
            scope: shared::scope(place),
            cause: format!("{name} ({quota}) is used up").into(),
        }
    }

    /// In this process.
    fn count(&self, caller: RateLimitKey<'_>) -> Result<RateLimitStatus, RateLimitExceeded> {
        let now = self.callers.now();
        self.outcome(self.callers.take(&self.bucket, caller, now))
    }

    /// `taken` is `used` after the request, or, when the bucket was empty, without it.
    fn outcome(&self, taken: Result<u64, u64>) -> Result<RateLimitStatus, RateLimitExceeded> {
        match taken {
            Ok(used) => Ok(self.bucket.status(used)),
            Err(used) => Err(RateLimitExceeded {
                cause: Arc::clone(&self.cause),
                status: self.bucket.status(used),
                retry_after: self.bucket.wait(used),
            }),
        }
    }
}
