//! Tells the operator's service that two users are one: at least once, over restarts and replicas where sessions are in Redis. What
//! waits lies in a queue; a replica takes one out for half a minute, sends it, and removes it once the service has confirmed it.

mod memory;
mod redis;

use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::memory::MemoryQueue;
use self::redis::RedisQueue;
use crate::clock;
use crate::config::{self, Config};
use crate::redis::{RedisLink, StoreError};
use crate::webhook::{Webhook, WebhookSetupError};

/// Between two looks at the queue.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For so long one who took a notice out is the only one to send it; longer than a message may take.
const LEASE: Duration = Duration::from_secs(30);
/// Pause after a try that failed: doubles from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// After so long the service is not told any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 86_400);

/// What the service is told, and what has not been confirmed.
pub struct MergeNotices {
    webhook: Webhook,
    queue: Queue,
}

/// A merge, until the service has confirmed that it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Notice {
    /// The same for the same two ids, so that the service can tell one that came twice.
    id: String,
    user_id: String,
    merged_from: String,
    /// Seconds since 1970.
    at: u64,
    /// That failed.
    tries: u32,
}

enum Queue {
    Redis(RedisQueue),
    Memory(MemoryQueue),
}

/// A notice that is ours for `LEASE`, and the mark of that.
struct Leased {
    notice: Notice,
    mark: u64,
}

/// What a look at the queue came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// One was sent; there may be more.
    Sent,
    /// None is due, or one was sent in vain.
    Idle,
}

impl MergeNotices {
    /// Notices to `service`, kept in Redis when there is a link and else in this process. Connects to nothing.
    ///
    /// # Errors
    /// As `Webhook::new`.
    pub fn new(
        service: &config::Webhook,
        link: Option<RedisLink>,
        config: &Config,
    ) -> Result<Self, WebhookSetupError> {
        let queue = match link {
            Some(link) => Queue::Redis(RedisQueue::new(link, config)),
            None => Queue::Memory(MemoryQueue::default()),
        };
        Ok(Self {
            webhook: Webhook::new(service)?,
            queue,
        })
    }

    /// Puts a merge into the queue, unless it is there.
    ///
    /// # Errors
    /// The queue did not confirm it.
    pub(super) async fn add(&self, user_id: &str, merged_from: &str) -> Result<(), StoreError> {
        let notice = Notice::new(user_id, merged_from);
        match &self.queue {
            Queue::Redis(queue) => queue.add(&notice).await,
            Queue::Memory(queue) => {
                queue.add(notice);
                Ok(())
            }
        }
    }

    /// Sends what is due, until told to stop. What is on its way then is waited for.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            while !stop.is_cancelled() {
                match self.look().await {
                    Ok(Looked::Sent) => {}
                    Ok(Looked::Idle) => break,
                    Err(error) => {
                        tracing::debug!(%error, "the queue of merges cannot be looked at");
                        break;
                    }
                }
            }
        }
    }

    async fn look(&self) -> Result<Looked, StoreError> {
        let leased = match &self.queue {
            Queue::Redis(queue) => queue.lease().await?,
            Queue::Memory(queue) => queue.lease(),
        };
        let Some(Leased { mut notice, mark }) = leased else {
            return Ok(Looked::Idle);
        };
        let Err(cause) = self.send(&notice).await else {
            tracing::debug!(
                user.id = notice.user_id,
                user.alias = notice.merged_from,
                "told of a merge"
            );
            self.remove(&notice).await?;
            return Ok(Looked::Sent);
        };
        let service = self.webhook.address();
        let (user, alias) = (&notice.user_id, &notice.merged_from);
        if clock::unix_seconds().saturating_sub(notice.at) >= GIVE_UP_AFTER.as_secs() {
            tracing::error!(
                user.id = user,
                user.alias = alias,
                users.merged = service,
                error = cause,
                "giving up: the service was not told for three days that two users are one"
            );
            self.remove(&notice).await?;
            return Ok(Looked::Idle);
        }
        // Once for each merge; and there are no more merges than people with two apps.
        if notice.tries == 0 {
            tracing::warn!(
                user.id = user,
                user.alias = alias,
                users.merged = service,
                error = cause,
                "the service was not told that two users are one; it is tried again for three days"
            );
        } else {
            tracing::debug!(
                user.id = user,
                users.merged = service,
                error = cause,
                "still not told"
            );
        }
        let pause = notice.pause();
        notice.tries = notice.tries.saturating_add(1);
        match &self.queue {
            Queue::Redis(queue) => queue.put_back(&notice, mark, pause).await?,
            Queue::Memory(queue) => queue.put_back(notice, mark, pause),
        }
        Ok(Looked::Idle)
    }

    async fn send(&self, notice: &Notice) -> Result<(), String> {
        let message = json!({
            "event": "user.merged",
            "id": notice.id,
            "user_id": notice.user_id,
            "merged_from": notice.merged_from,
            "at": notice.at,
        });
        match self.webhook.post(&message, &notice.id).await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(format!("answered {} instead of 2xx", answer.status)),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn remove(&self, notice: &Notice) -> Result<(), StoreError> {
        match &self.queue {
            Queue::Redis(queue) => queue.remove(&notice.id).await,
            Queue::Memory(queue) => {
                queue.remove(&notice.id);
                Ok(())
            }
        }
    }
}

impl Notice {
    fn new(user_id: &str, merged_from: &str) -> Self {
        let hash = digest(&SHA256, format!("{user_id}\0{merged_from}").as_bytes());
        let id = hash.as_ref().iter().take(16);
        Self {
            id: id.map(|byte| format!("{byte:02x}")).collect(),
            user_id: user_id.to_owned(),
            merged_from: merged_from.to_owned(),
            at: clock::unix_seconds(),
            tries: 0,
        }
    }

    /// Until the next try.
    fn pause(&self) -> Duration {
        let (first, last) = BACKOFF;
        first.saturating_mul(1 << self.tries.min(16)).min(last)
    }
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis::cmd;

    use super::*;
    use crate::testing::RedisServer;

    #[test]
    fn a_notice_has_one_id_and_is_tried_ever_more_seldom() {
        let mut notice = Notice::new("1", "2");
        assert_eq!(notice.id, Notice::new("1", "2").id);
        assert_eq!(notice.id.len(), 32);
        assert_ne!(notice.id, Notice::new("2", "1").id);
        assert_ne!(Notice::new("1", "23").id, Notice::new("12", "3").id);
        for (tries, seconds) in [(0, 1), (1, 2), (11, 2048), (12, 3600), (u32::MAX, 3600)] {
            notice.tries = tries;
            assert_eq!(notice.pause(), Duration::from_secs(seconds), "{tries}");
        }
    }

    fn config() -> Config {
        let toml = "[[apps]]\nappid = \"wx1234567890abcdef\"\nsecret = \"0123456789abcdef\"\n\
                    [[routes]]\npath = \"/*\"\nrespond = { status = 204 }\n";
        Config::parse("gateway.toml", toml, &|_| None)
            .unwrap()
            .config
    }

    /// Lets every notice be due.
    async fn hurry(queue: &Queue, server: &RedisServer) {
        match queue {
            Queue::Redis(_) => {
                let mut due = cmd("ZADD");
                let id = Notice::new("1", "2").id;
                due.arg("skeygate:q:{merged}").arg("XX").arg(0).arg(id);
                server.link().query::<()>(&due).await.unwrap();
            }
            Queue::Memory(queue) => queue.hurry(),
        }
    }

    #[tokio::test]
    async fn a_notice_is_one_replicas_at_a_time_until_it_is_put_back_or_removed() {
        let server = RedisServer::start().await;
        let redis = RedisQueue::new(server.link(), &config());
        for queue in [Queue::Redis(redis), Queue::Memory(MemoryQueue::default())] {
            let add = async || match &queue {
                Queue::Redis(queue) => queue.add(&Notice::new("1", "2")).await.unwrap(),
                Queue::Memory(queue) => queue.add(Notice::new("1", "2")),
            };
            let lease = async || match &queue {
                Queue::Redis(queue) => queue.lease().await.unwrap(),
                Queue::Memory(queue) => queue.lease(),
            };
            let put_back = async |notice: &Notice, mark, pause| match &queue {
                Queue::Redis(queue) => queue.put_back(notice, mark, pause).await.unwrap(),
                Queue::Memory(queue) => queue.put_back(notice.clone(), mark, pause),
            };
            assert!(lease().await.is_none());
            add().await;
            add().await;
            let Leased { mut notice, mark } = lease().await.unwrap();
            assert_eq!(
                (notice.user_id.as_str(), notice.merged_from.as_str()),
                ("1", "2")
            );
            assert!(lease().await.is_none(), "it is taken");
            add().await;
            assert!(lease().await.is_none(), "it is still taken");

            notice.tries = 1;
            put_back(&notice, mark, Duration::ZERO).await;
            let second = lease().await.unwrap();
            assert_eq!(second.notice, notice);
            // Who took it out died. It is another's after half a minute, and his alone.
            hurry(&queue, &server).await;
            let third = lease().await.unwrap();
            notice.tries = 9;
            put_back(&notice, second.mark, Duration::ZERO).await;
            assert!(lease().await.is_none());
            put_back(&third.notice, third.mark, Duration::from_secs(60)).await;
            assert!(lease().await.is_none());
            hurry(&queue, &server).await;
            assert_eq!(lease().await.unwrap().notice.tries, 1);

            match &queue {
                Queue::Redis(queue) => queue.remove(&notice.id).await.unwrap(),
                Queue::Memory(queue) => queue.remove(&notice.id),
            }
            hurry(&queue, &server).await;
            assert!(lease().await.is_none());
        }
        let left: i64 = server.link().read(&cmd("DBSIZE")).await.unwrap();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn notices_for_a_service_expire_after_three_days() {
        let service = config::Webhook {
            url: "http://127.0.0.1:1/".to_owned(),
            secret: config::Secret::new("0123456789abcdef0123456789abcdef"),
            timeout: Duration::from_secs(5),
            ca: None,
        };
        for (age, waits) in [
            (GIVE_UP_AFTER.as_secs() - 60, true),
            (GIVE_UP_AFTER.as_secs(), false),
        ] {
            let mut notice = Notice::new("1", "2");
            notice.at -= age;
            let queue = MemoryQueue::default();
            queue.add(notice);
            let notices = MergeNotices {
                webhook: Webhook::new(&service).unwrap(),
                queue: Queue::Memory(queue),
            };

            assert_eq!(notices.look().await.unwrap(), Looked::Idle);

            let Queue::Memory(queue) = &notices.queue else {
                panic!("a queue in memory")
            };
            queue.hurry();
            let left = queue.lease().map(|leased| leased.notice.tries);
            assert_eq!(left, waits.then_some(1), "{age}");
        }
    }

    #[tokio::test]
    async fn undecryptable_notices_delay_no_others() {
        let server = RedisServer::start().await;
        let link = server.link();
        for number in 0..100 {
            let (mut due, mut sealed) = (cmd("ZADD"), cmd("HSET"));
            due.arg("skeygate:q:{merged}").arg(0).arg(number);
            sealed.arg("skeygate:q:{merged}:notices").arg(number);
            link.query::<()>(&due).await.unwrap();
            link.query::<()>(sealed.arg("nothing")).await.unwrap();
        }
        let queue = RedisQueue::new(server.link(), &config());
        queue.add(&Notice::new("1", "2")).await.unwrap();

        assert_eq!(queue.lease().await.unwrap().unwrap().notice.user_id, "1");
        assert!(queue.lease().await.unwrap().is_none());
    }
}
