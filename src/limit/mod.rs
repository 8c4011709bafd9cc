//! Rate limits: how many requests one address or one user may send, counted by the generic cell rate algorithm, which is a token
//! bucket that needs one number per caller. Counted in this process, in a table that never grows; with `rate_limit.shared` in
//! Redis, for all replicas together, and by the table, which knows what Redis said last, while Redis does not answer: a limit
//! never fails open, and never makes an answer fail.
//!
//! Own code, though crates do this: the usual one, `governor`, keeps a map that grows with every address that was ever seen and
//! has to be swept, which is what a flood of addresses is out for.

mod bucket;
mod caller;
mod one_address;
mod shared;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipnet::IpNet;

pub use self::bucket::Standing;
pub use self::caller::Counted;

use self::bucket::Bucket;
use self::one_address::OneAddress;
use self::shared::Shared;
use self::table::Table;
use crate::config::{Login, Quota, Route};
use crate::redis::RedisLink;

/// What was counted for each limit, and where. Outlives a configuration: a limit that the next one has too goes on counting.
pub struct Limits {
    /// By the limit's scope; ends with the last configuration that has the limit.
    tables: Mutex<HashMap<String, Weak<Table>>>,
    one_address: OneAddress,
    shared: Option<Shared>,
}

/// The limits of one route.
pub struct RouteLimits {
    /// For each client address.
    pub per_address: Option<Limit>,
    /// For each user.
    pub per_user: Option<Limit>,
}

/// One limit: each caller has a bucket of his own.
pub struct Limit {
    bucket: Bucket,
    callers: Arc<Table>,
    /// In Redis: which limit it is, the same in every replica.
    scope: String,
    cause: Arc<str>,
}

/// Too many requests.
#[derive(Debug, Clone)]
pub struct Refused {
    /// For the log: which limit it was.
    pub cause: Arc<str>,
    /// How it stands with the caller.
    pub standing: Standing,
    /// Whole seconds until the next request is let through; at least 1.
    pub retry_after: u32,
}

impl Limits {
    /// Nothing counted yet. With a link, Redis counts for all replicas together.
    #[must_use]
    pub fn new(redis: Option<(RedisLink, &str)>) -> Self {
        Self {
            tables: Mutex::default(),
            one_address: OneAddress::default(),
            shared: redis.map(|(link, key_prefix)| Shared::new(link, key_prefix)),
        }
    }

    /// Those of a route; `None` where it has none.
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

    /// That of a login.
    #[must_use]
    pub fn of_login(&self, login: &Login) -> Option<Limit> {
        let place = format!("login\n{}", login.path);
        Some(self.limit(&login.rate_limit?, &place, "the login's per_address"))
    }

    /// That of logout, me and the like: as much as the first login lets through, counted apart from it, so that neither uses
    /// the other up.
    #[must_use]
    pub fn of_endpoints(&self, logins: &[Login]) -> Option<Limit> {
        let quota = logins.first()?.rate_limit?;
        Some(self.limit(&quota, "own", "the first login's per_address"))
    }

    /// Notes where a login comes from: where no proxy is trusted, the operator may have forgotten to name one.
    pub fn note_login(&self, client: Option<IpAddr>, trusted_proxies: &[IpNet]) {
        self.one_address.note(client, trusted_proxies);
    }

    /// Counts one request.
    ///
    /// # Errors
    /// The caller has used up what the limit allows. The request is not counted then, so that trying again costs nothing.
    pub async fn count(&self, limit: &Limit, caller: Counted<'_>) -> Result<Standing, Refused> {
        match &self.shared {
            None => limit.count(caller),
            // Boxed: the future of every request would be as large as this one.
            Some(shared) => Box::pin(shared.count(limit, caller)).await,
        }
    }
}

impl Limits {
    /// A limit, with what was counted for it so far.
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
}

impl Limit {
    /// In this process.
    fn count(&self, caller: Counted<'_>) -> Result<Standing, Refused> {
        let now = self.callers.now();
        self.outcome(self.callers.take(&self.bucket, caller, now))
    }

    /// `taken` is what the caller owes: after this request, or, when that was too much, without it.
    fn outcome(&self, taken: Result<u64, u64>) -> Result<Standing, Refused> {
        match taken {
            Ok(debt) => Ok(self.bucket.standing(debt)),
            Err(debt) => Err(Refused {
                cause: Arc::clone(&self.cause),
                standing: self.bucket.standing(debt),
                retry_after: self.bucket.wait(debt),
            }),
        }
    }
}
