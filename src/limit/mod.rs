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

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipnet::IpNet;

pub use self::bucket::RateLimitStatus;
pub use self::caller::RateLimitKey;

use self::bucket::Bucket;
use self::shared::SharedCounter;
use self::table::Table;
use self::untrusted_proxy_hint::UntrustedProxyHint;
use crate::config::{Login, Quota, Route};
use crate::redis::RedisLink;

/// The counts of every limit. They outlive a configuration: a limit that the next one has too keeps
/// its counts.
pub struct RateLimits {
    /// By scope; dropped with the last configuration that has the limit.
    tables: Mutex<HashMap<String, Weak<Table>>>,
    untrusted_proxy_hint: UntrustedProxyHint,
    shared: Option<SharedCounter>,
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
    callers: Arc<Table>,
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

impl RateLimits {
    /// Without any counts. With a link, the counts are kept in Redis for all replicas.
    #[must_use]
    pub fn new(redis: Option<(RedisLink, &str)>) -> Self {
        Self {
            tables: Mutex::default(),
            untrusted_proxy_hint: UntrustedProxyHint::default(),
            shared: redis.map(|(link, key_prefix)| SharedCounter::new(link, key_prefix)),
        }
    }

    /// The limits of a route; `None` if it has none.
    #[must_use]
    pub fn of_route(&self, route: &Route) -> Option<RouteLimits> {
        let limit = |quota: Option<Quota>, key: &str| {
            let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
            let place = [
                "route",
                key,
                &route.path.to_string(),
                &route.hosts.join(" "),
                &methods.join(" "),
            ];
            Some(self.limit(&quota?, &place.join("\n"), &format!("the route's {key}")))
        };
        let limits = RouteLimits {
            per_address: limit(route.rate_limit.per_address, "per_address"),
            per_user: limit(route.rate_limit.per_user, "per_user"),
        };
        (limits.per_address.is_some() || limits.per_user.is_some()).then_some(limits)
    }

    /// The limit of a login; `None` if it has none.
    #[must_use]
    pub fn of_login(&self, login: &Login) -> Option<Limit> {
        let place = format!("login\n{}", login.path);
        Some(self.limit(&login.rate_limit?, &place, "the login's per_address"))
    }

    /// The limit of the own endpoints other than login: the quota of the first login in a
    /// bucket of its own, so that neither exhausts the other.
    #[must_use]
    pub fn of_endpoints(&self, logins: &[Login]) -> Option<Limit> {
        let quota = logins.first()?.rate_limit?;
        Some(self.limit(&quota, "own", "the first login's per_address"))
    }

    /// Records the client address of a login, for the hint about an untrusted proxy.
    pub fn note_login(&self, client: Option<IpAddr>, trusted_proxies: &[IpNet]) {
        self.untrusted_proxy_hint.note(client, trusted_proxies);
    }

    /// A limit, with the counts that there are for its scope.
    fn limit(&self, quota: &Quota, place: &str, name: &str) -> Limit {
        let scope = shared::scope(place);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables.get(&scope).and_then(Weak::upgrade);
        let callers = known.unwrap_or_else(|| {
            tables.retain(|_, table| table.strong_count() > 0);
            let table = Arc::new(Table::new());
            tables.insert(scope.clone(), Arc::downgrade(&table));
            table
        });
        Limit {
            bucket: Bucket::new(quota),
            callers,
            scope,
            cause: format!("{name} ({quota}) is used up").into(),
        }
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
