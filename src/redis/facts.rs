//! Facts about Redis for the operator at start. A fact that the ACL hides is unknown, not an error.

use deadpool_redis::redis::cmd;

use super::RedisLink;
use crate::store_error::StoreError;

/// The facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisFacts {
    /// E.g. `7.0.15`; `None` where INFO is forbidden.
    pub version: Option<String>,
    /// Whether data survives a restart.
    pub persistence: Persistence,
}

/// Whether Redis writes its data to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Append-only file or snapshots.
    On,
    /// Neither: a restart loses everything, user ids too.
    Off,
    /// Hidden by the ACL or by a managed service.
    Unknown,
}

impl RedisLink {
    /// Version and persistence.
    ///
    /// # Errors
    /// `Unavailable` when Redis does not reply. A refused command is not an error here.
    pub async fn info(&self) -> Result<RedisFacts, StoreError> {
        // Tells a Redis that is away from one that forbids INFO.
        self.ping().await?;
        let server = self.read::<String>(cmd("INFO").arg("server")).await.ok();
        let persistence = self
            .read::<String>(cmd("INFO").arg("persistence"))
            .await
            .ok();
        let save = self
            .read::<Vec<String>>(cmd("CONFIG").arg("GET").arg("save"))
            .await
            .ok();
        Ok(RedisFacts {
            version: server
                .as_deref()
                .and_then(|text| field(text, "redis_version"))
                .map(str::to_owned),
            persistence: persistence_of(persistence.as_deref(), save.as_deref()),
        })
    }
}

fn persistence_of(info: Option<&str>, save: Option<&[String]>) -> Persistence {
    if info.and_then(|text| field(text, "aof_enabled")) == Some("1") {
        return Persistence::On;
    }
    match save {
        // `save` and its value; the value is empty when snapshots are off.
        Some([_, schedule]) if !schedule.is_empty() => Persistence::On,
        Some([_, _]) if info.is_some() => Persistence::Off,
        Some(_) | None => Persistence::Unknown,
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persistence_is_on_with_either_kind_and_unknown_when_hidden() {
        let save = |value: &str| ["save".to_owned(), value.to_owned()];
        let info = |aof: &str| format!("# Persistence\r\naof_enabled:{aof}\r\n");
        assert_eq!(persistence_of(Some(&info("1")), None), Persistence::On);
        assert_eq!(
            persistence_of(Some(&info("0")), Some(&save("3600 1"))),
            Persistence::On
        );
        assert_eq!(
            persistence_of(Some(&info("0")), Some(&save(""))),
            Persistence::Off
        );
        assert_eq!(persistence_of(Some(&info("0")), None), Persistence::Unknown);
        assert_eq!(persistence_of(None, None), Persistence::Unknown);
    }
}
