//! `rate_limit` of routes and logins, and `[rate_limit]`.

use std::fmt;
use std::time::Duration;

use toml::de::DeValue;

use super::keys;
use super::reader::{Fault, Reader, Value, boolean, integer, text};

/// How many requests, in which time: `"50/s"`, `"600/m"`, `"1000/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    /// `s`, `m` or `h`, and how many seconds that is.
    unit: (char, u32),
}

/// The limit of one client: `burst` requests at once, refilled at `rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is given back in the long run.
    pub rate: Rate,
    /// At least 1. Default: as many as the rate names.
    pub burst: u32,
}

/// `rate_limit` of a route: each may be `None`, which is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimit {
    /// For each logged-in user; anonymous requests are counted by address alone.
    pub per_user: Option<Quota>,
    /// For each client address; IPv6 by /64.
    pub per_address: Option<Quota>,
}

/// `[rate_limit]`.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Whether all replicas count together, in Redis. Default false: each counts for itself.
    pub shared: bool,
}

const UNITS: [(char, u32); 3] = [('s', 1), ('m', 60), ('h', 3600)];
/// Of a limit's rate. Limits count in microseconds: a rate far above this would be rounded by more
/// than a hundredth.
const MAX_PER_SECOND: u32 = 10_000;
const MAX_BURST: u32 = 100_000;
const FORM: &str = "write a whole number and one of /s, /m, /h, as in \"50/s\"";

impl Rate {
    /// The time in which one request is given back; at least 100 µs.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let (_, seconds) = self.unit;
        Duration::from_secs(u64::from(seconds)) / self.count
    }

    fn parse(written: &str) -> Result<Self, Fault> {
        let Some((count, unit)) = written.split_once('/') else {
            let bare = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
            let fault = Fault::new("is not a rate");
            return Err(if bare {
                fault.respelled(per_what(written))
            } else {
                fault.help(FORM)
            });
        };
        let known = UNITS
            .iter()
            .find(|(name, _)| unit.strip_prefix(*name) == Some(""));
        let (Ok(number), Some(unit)) = (count.parse::<u32>(), known) else {
            let near = UNITS.iter().find(|(name, _)| unit.starts_with(*name));
            let fault = Fault::new("is not a rate");
            return Err(match near {
                Some((name, _)) if count.parse::<u32>().is_ok() => {
                    fault.help(format!("write \"{count}/{name}\""))
                }
                _ => fault.help(FORM),
            });
        };
        if number == 0 {
            return Err(Fault::new("must be at least 1").help(format!(
                "write at least \"1/{}\", or leave it out for no limit",
                unit.0
            )));
        }
        if number > MAX_PER_SECOND * unit.1 {
            return Err(Fault::new("is more than a limit can count").help(format!(
                "write at most \"{}/{}\", or leave it out for no limit",
                MAX_PER_SECOND * unit.1,
                unit.0
            )));
        }
        Ok(Self {
            count: number,
            unit: *unit,
        })
    }
}

impl fmt::Display for Rate {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.0)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} at once", self.rate, self.burst)
    }
}

impl Quota {
    fn new(rate: Rate, burst: Option<u32>) -> Self {
        let burst = burst.unwrap_or(rate.count);
        Self { rate, burst }
    }
}

impl RateLimit {
    /// The key `rate_limit` of a route: a table, or `"none"`, which is the default.
    pub(super) fn read(route: &Reader<'_>) -> Option<Self> {
        let table = route.table_value("rate_limit");
        let per_user = table.optional(&keys::routes::RATE_LIMIT_PER_USER, rate);
        let per_address = table.optional(&keys::routes::RATE_LIMIT_PER_ADDRESS, rate);
        let burst = table.optional(&keys::routes::RATE_LIMIT_BURST, burst);
        table.finish();
        if table.has("burst") && !table.has("per_user") && !table.has("per_address") {
            let help = Some("write per_user or per_address, or leave it out".to_owned());
            table.error("burst", "there is no rate that it belongs to", help);
        }
        let limit = Self {
            per_user: per_user.map(|rate| Quota::new(rate, burst)),
            per_address: per_address.map(|rate| Quota::new(rate, burst)),
        };
        route.key(&keys::routes::RATE_LIMIT, |value| {
            or_none(value, Some(limit), Self::default())
        })
    }
}

/// The key `rate_limit` of a login: a table, or `"none"`. The default is generous, since mobile
/// carriers put thousands of users behind one address.
pub(super) fn login(entry: &Reader<'_>) -> Option<Option<Quota>> {
    let table = entry.table_value("rate_limit");
    let rate = table.key(&keys::login::RATE_LIMIT_PER_ADDRESS, rate);
    let burst = table.optional(&keys::login::RATE_LIMIT_BURST, burst);
    table.finish();
    // Not beside a rate of one's own: with "20/m" it would be ten minutes' worth.
    let usual = (!table.has("per_address")).then_some(200);
    let quota = rate.map(|rate| Some(Quota::new(rate, burst.or(usual))));
    entry.key(&keys::login::RATE_LIMIT, |value| {
        or_none(value, quota, None)
    })
}

/// The table's value, or `none` for the word.
fn or_none<T>(value: &Value<'_>, table: Option<T>, none: T) -> Option<T> {
    match value.item {
        DeValue::Table(_) => table,
        DeValue::String(_) if value.text()? == "none" => Some(none),
        _ => value.wrong("\"none\", or a table as in { per_address = \"100/s\", burst = 100 },"),
    }
}

impl RateLimits {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let shared = table.key(&keys::rate_limit::SHARED, boolean);
        table.finish();
        Some(Self { shared: shared? })
    }
}

fn rate(value: &Value<'_>) -> Option<Rate> {
    if let DeValue::Integer(number) = value.item {
        return value.problem(
            format!("the rate `{number}` does not say in which time"),
            Some(per_what(number.as_str())),
        );
    }
    text(Rate::parse)(value)
}

fn burst(value: &Value<'_>) -> Option<u32> {
    integer(1..=MAX_BURST)(value)
}

fn per_what(number: &str) -> String {
    format!("write \"{number}/s\" for so many a second; other units are /m and /h")
}
