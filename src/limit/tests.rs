//! Limits from a configuration file, in this process and in a real Redis.

use std::time::Duration;

use deadpool_redis::redis::cmd;

use super::{Limit, RateLimitExceeded, RateLimitKey, RateLimitStatus, RateLimits, RouteLimits};
use crate::config::{Config, Quota};
use crate::redis::RedisLink;
use crate::testing::{RedisServer, eventually};

/// A quota as a file would write it.
pub(super) fn quota(rate: &str, burst: u32) -> Quota {
    let limit = format!("rate_limit = {{ per_address = \"{rate}\", burst = {burst} }}");
    let quota = config(&limit, "").routes[0].rate_limit.per_address;
    quota.expect("a limit")
}

/// A file with these keys in its route, and these tables.
fn config(route: &str, tables: &str) -> Config {
    let text = format!(
        "[[apps]]\nappid = \"wx0000000000000001\"\nsecret = \"0123456789abcdef\"\n\
         [upstreams.api]\nservers = [\"http://127.0.0.1:1\"]\n{tables}\n\
         [[routes]]\npath = \"/*\"\nupstream = \"api\"\n{route}\n"
    );
    let loaded = Config::parse("gateway.toml", &text, &|_| None);
    loaded.unwrap_or_else(|error| panic!("{error}")).config
}

/// One replica: its limits, and a route with `per_address`, counted in Redis.
struct Replica {
    limits: RateLimits,
    route: RouteLimits,
}

impl Replica {
    fn new(limit: &str, link: &RedisLink) -> Self {
        let limit = format!("rate_limit = {{ per_address = {limit} }}");
        let config = config(&limit, "[rate_limit]\nshared = true");
        let limits = RateLimits::new(Some((link.clone(), &config.redis.key_prefix)));
        let route = limits.of_route(&config.routes[0]).expect("limits");
        Self { limits, route }
    }

    fn limit(&self) -> &Limit {
        self.route.per_address.as_ref().expect("a limit")
    }

    async fn count(&self, address: &str) -> Result<RateLimitStatus, RateLimitExceeded> {
        let caller = RateLimitKey::address(address.parse().unwrap());
        self.limits.count(self.limit(), caller).await
    }
}

#[tokio::test]
async fn routes_and_logins_without_a_limit_are_not_counted() {
    let config = config("", "[[login]]\nrate_limit = \"none\"");
    let limits = RateLimits::new(None);
    assert!(limits.of_route(&config.routes[0]).is_none());
    assert!(limits.of_login(&config.login[0]).is_none());
    assert!(limits.of_endpoints(&config.login).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reports_remaining_and_retry_after() {
    let config = config("rate_limit = { per_address = \"2/m\", burst = 3 }", "");
    let limits = RateLimits::new(None);
    let route = limits.of_route(&config.routes[0]).unwrap();
    let limit = route.per_address.as_ref().unwrap();
    let caller = RateLimitKey::address([192, 0, 2, 1].into());
    let status = |remaining, reset| RateLimitStatus {
        limit: 3,
        remaining,
        reset,
    };

    assert_eq!(limits.count(limit, caller).await.unwrap(), status(2, 30));
    assert_eq!(limits.count(limit, caller).await.unwrap(), status(1, 60));
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert_eq!(limits.count(limit, caller).await.unwrap(), status(0, 89));
    let refused = limits.count(limit, caller).await.unwrap_err();

    assert_eq!((refused.status, refused.retry_after), (status(0, 89), 29));
    let cause = "the route's per_address (2/m, 3 at once) is used up";
    assert_eq!(&*refused.cause, cause);
}

#[tokio::test]
async fn replicas_count_together_and_each_caller_apart() {
    let server = RedisServer::start().await;
    let link = server.link();
    let (one, other) = (
        Replica::new("\"3/h\"", &link),
        Replica::new("\"3/h\"", &server.link()),
    );

    assert_eq!(one.count("192.0.2.1").await.unwrap().remaining, 2);
    assert_eq!(other.count("192.0.2.1").await.unwrap().remaining, 1);
    assert_eq!(one.count("192.0.2.1").await.unwrap().remaining, 0);
    let refused = other.count("192.0.2.1").await.unwrap_err();

    assert!((1199..=1200).contains(&refused.retry_after), "{refused:?}");
    assert!(one.count("192.0.2.2").await.is_ok());
    assert_eq!(other.count("2001:db8::1").await.unwrap().remaining, 2);
    assert_eq!(other.count("2001:db8::2").await.unwrap().remaining, 1);
    assert_eq!(other.count("2001:db8:0:1::1").await.unwrap().remaining, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_replicas_admit_the_burst_and_no_more() {
    let server = RedisServer::start().await;
    let link = server.link();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let replica = Replica::new("\"40/h\"", &link);
        running.spawn(async move {
            let mut let_through = 0;
            for _ in 0..40 {
                let_through += usize::from(replica.count("192.0.2.1").await.is_ok());
            }
            let_through
        });
    }
    let let_through: usize = running.join_all().await.into_iter().sum();
    assert_eq!(let_through, 40);
}

#[tokio::test]
async fn a_key_lives_until_its_bucket_is_full_again() {
    let server = RedisServer::start().await;
    let link = server.link();
    let replica = Replica::new("\"2/m\"", &link);
    replica.count("192.0.2.1").await.unwrap();
    replica.count("192.0.2.1").await.unwrap();

    let keys: Vec<String> = link.read(cmd("KEYS").arg("*")).await.unwrap();
    let [key] = &keys[..] else {
        panic!("one key: {keys:?}")
    };
    assert!(key.starts_with("skeygate:r:"), "{key}");
    assert!(key.ends_with(":192%2E0%2E2%2E1"), "{key}");
    let lives: u64 = link.read(cmd("PTTL").arg(key)).await.unwrap();
    assert!((50_000..=60_000).contains(&lives), "{lives}");

    let quick = Replica::new("\"100/s\"", &link);
    quick.count("192.0.2.9").await.unwrap();
    eventually("the key is gone", async || {
        let left: Vec<String> = link.read(cmd("KEYS").arg("*2%2E9")).await.unwrap();
        left.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_bucket_in_redis_refills_at_its_rate() {
    let server = RedisServer::start().await;
    let replica = Replica::new("\"20/s\", burst = 1", &server.link());
    replica.count("192.0.2.1").await.unwrap();
    assert!(replica.count("192.0.2.1").await.is_err());
    let start = tokio::time::Instant::now();
    eventually("a request is given back", async || {
        replica.count("192.0.2.1").await.is_ok()
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_clock_set_back_costs_one_bucket_and_nonsense_nothing() {
    let server = RedisServer::start().await;
    let link = server.link();
    let replica = Replica::new("\"60/m\", burst = 2", &link);
    replica.count("192.0.2.1").await.unwrap();
    let keys: Vec<String> = link.read(cmd("KEYS").arg("*")).await.unwrap();
    let put = async |value: &str| {
        let set = cmd("SET").arg(&keys[0]).arg(value).to_owned();
        link.query::<()>(&set).await.unwrap();
    };

    // From a clock a century ahead.
    put("4900000000000000").await;
    let refused = replica.count("192.0.2.1").await.unwrap_err();
    assert_eq!((refused.retry_after, refused.status.reset), (1, 2));
    let lives: i64 = link.read(cmd("PTTL").arg(&keys[0])).await.unwrap();
    assert!((1..=2_000).contains(&lives), "{lives}");
    put("nonsense").await;
    let other = Replica::new("\"60/m\", burst = 2", &link);
    assert_eq!(other.count("192.0.2.1").await.unwrap().remaining, 1);
}

#[tokio::test]
async fn retries_of_a_refused_caller_cost_redis_nothing() {
    let server = RedisServer::start().await;
    let link = server.link();
    let (one, other) = (
        Replica::new("\"2/h\"", &link),
        Replica::new("\"2/h\"", &link),
    );
    for _ in 0..2 {
        one.count("192.0.2.1").await.unwrap();
    }
    assert!(other.count("192.0.2.1").await.is_err());

    for replica in [&one, &other] {
        for _ in 0..50 {
            assert!(replica.count("192.0.2.1").await.is_err());
        }
    }

    let stats: String = link.read(cmd("INFO").arg("commandstats")).await.unwrap();
    assert!(stats.contains("cmdstat_eval:calls=3,"), "{stats}");
}

#[tokio::test]
async fn without_redis_a_replica_continues_from_its_last_counts() {
    let mut server = RedisServer::start().await;
    let link = server.link();
    let (one, other) = (
        Replica::new("\"3/h\"", &link),
        Replica::new("\"3/h\"", &link),
    );
    for _ in 0..2 {
        one.count("192.0.2.1").await.unwrap();
    }
    server.kill().await;

    for (replica, left) in [(&one, 1), (&other, 3)] {
        let mut let_through = 0;
        for _ in 0..20 {
            let_through += usize::from(replica.count("192.0.2.1").await.is_ok());
        }
        assert_eq!(let_through, left);
    }

    server.restart().await;
    let numbers = std::cell::Cell::new(0_u8);
    eventually("redis counts again", async || {
        numbers.update(|number| number.wrapping_add(1));
        let address = format!("192.0.2.{}", numbers.get());
        let _ = one.count(&address).await;
        let keys: Result<Vec<String>, _> = link.read(cmd("KEYS").arg("*")).await;
        keys.is_ok_and(|keys| !keys.is_empty())
    })
    .await;
}

#[tokio::test]
async fn a_foreign_value_at_a_key_counts_as_a_redis_outage() {
    let server = RedisServer::start().await;
    let link = server.link();
    let replica = Replica::new("\"2/h\"", &link);
    replica.count("192.0.2.1").await.unwrap();
    let keys: Vec<String> = link.read(cmd("KEYS").arg("*")).await.unwrap();
    let mut replace = deadpool_redis::redis::pipe();
    replace
        .cmd("DEL")
        .arg(&keys[0])
        .cmd("LPUSH")
        .arg(&keys[0])
        .arg("x");
    link.pipeline::<()>(&replace).await.unwrap();

    let mut let_through = 0;
    for _ in 0..5 {
        let_through += usize::from(replica.count("192.0.2.1").await.is_ok());
    }

    assert_eq!(let_through, 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_goes_on_counting_in_the_next_configuration_with_another_quota() {
    let of = |rate: &str, path: &str| {
        let mut config = config(
            &format!("rate_limit = {{ per_address = \"{rate}\", burst = 3 }}"),
            "",
        );
        config.routes[0].path = crate::config::PathPattern::Exact(path.to_owned());
        config.routes.remove(0)
    };
    let limits = RateLimits::new(None);
    let first = limits.of_route(&of("2/m", "/a")).unwrap();
    let caller = || RateLimitKey::address("192.0.2.7".parse().unwrap());
    for _ in 0..3 {
        let limit = first.per_address.as_ref().unwrap();
        limits.count(limit, caller()).await.unwrap();
    }
    let second = limits.of_route(&of("1/m", "/a")).unwrap();
    let other = limits.of_route(&of("1/m", "/b")).unwrap();
    drop(first);
    let limit = second.per_address.as_ref().unwrap();
    assert!(
        limits.count(limit, caller()).await.is_ok(),
        "half of the larger bucket is left"
    );
    assert!(limits.count(limit, caller()).await.is_err());
    let limit = other.per_address.as_ref().unwrap();
    assert_eq!(limits.count(limit, caller()).await.unwrap().remaining, 2);

    // Counts without a configuration are dropped.
    drop((second, other));
    let again = limits.of_route(&of("2/m", "/a")).unwrap();
    let limit = again.per_address.as_ref().unwrap();
    assert_eq!(limits.count(limit, caller()).await.unwrap().remaining, 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_over_a_tight_limit_is_let_in_soon_by_a_looser_one_of_the_next_configuration() {
    let of = |rate: &str, burst: u32| {
        let limit = format!("rate_limit = {{ per_address = \"{rate}\", burst = {burst} }}");
        config(&limit, "").routes.remove(0)
    };
    let limits = RateLimits::new(None);
    let tight = limits.of_route(&of("2/h", 2)).unwrap();
    let caller = || RateLimitKey::address("192.0.2.7".parse().unwrap());
    let limit = tight.per_address.as_ref().unwrap();
    for _ in 0..2 {
        limits.count(limit, caller()).await.unwrap();
    }
    assert!(limits.count(limit, caller()).await.is_err());

    let loose = limits.of_route(&of("100/s", 100)).unwrap();
    let limit = loose.per_address.as_ref().unwrap();
    let refused = limits.count(limit, caller()).await.unwrap_err();
    assert_eq!((refused.retry_after, refused.status.reset), (1, 1));
    tokio::time::advance(Duration::from_millis(10)).await;
    assert_eq!(limits.count(limit, caller()).await.unwrap().remaining, 0);
}
