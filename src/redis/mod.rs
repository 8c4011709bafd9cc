//! The link to Redis: a few shared, pipelined connections that reconnect by themselves. Every
//! command has one deadline (`redis.timeout`) in any state of Redis, and cancelling it does not
//! disturb others. Key names and values belong to the callers.
//!
//! One server for now. Sentinel and cluster differ in finding, connecting and checking a server,
//! which is `address`, `supervisor` and `connect` here; the keys of a command or script share one
//! hash slot, so nothing above this module would change.

mod address;
mod command;
mod error;
mod facts;
mod health;
mod key;
mod slot;
mod supervisor;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    Cmd, FromRedisValue, Pipeline, RedisResult, Value, cmd, from_redis_value,
};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use self::address::RedisConfigError;
pub(crate) use self::command::{eval, eval_over, get, millis};
pub use self::facts::{Persistence, RedisFacts};
pub(crate) use self::key::key_part;

use self::error::CommandFailure;
use self::health::{LinkHealth, MAX_UNANSWERED_COMMANDS};
use self::slot::{Slot, SlotState};
use crate::config;
use crate::store_error::StoreError;

/// A link shared by all users of Redis. A clone costs one reference count; the connections end with
/// the last one.
#[derive(Clone)]
pub struct RedisLink {
    shared: Arc<Shared>,
}

struct Shared {
    slots: Box<[Arc<Slot>]>,
    next: AtomicUsize,
    health: Arc<LinkHealth>,
    timeout: Duration,
    connect_timeout: Duration,
    supervisors: Vec<AbortHandle>,
}

/// A connection for one command.
struct Picked<'a> {
    slot: &'a Slot,
    connection: MultiplexedConnection,
    generation: u64,
}

impl RedisLink {
    /// Starts connecting and returns at once; `ping` waits for Redis. The link of a running gateway
    /// reconnects by itself. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `redis.url` is invalid.
    pub fn connect(config: &config::Redis) -> Result<Self, RedisConfigError> {
        let info = address::connection_info(config)?;
        let health = Arc::new(LinkHealth::new(&info.addr().to_string()));
        let pool = address::pool(config, info)?;
        let slots: Box<[Arc<Slot>]> = (0..config.connections.max(1))
            .map(|_| Arc::new(Slot::new()))
            .collect();
        let supervisors = slots
            .iter()
            .map(|slot| {
                let run =
                    supervisor::supervise(Arc::clone(slot), Arc::clone(&health), pool.clone());
                tokio::spawn(run).abort_handle()
            })
            .collect();
        Ok(Self {
            shared: Arc::new(Shared {
                slots,
                next: AtomicUsize::new(0),
                health,
                timeout: config.timeout,
                connect_timeout: config.connect_timeout,
                supervisors,
            }),
        })
    }

    /// Host and port, or the socket's path; for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        self.shared.health.address()
    }

    /// The round-trip time of a ping. Waits for the first connection, so it can be called right
    /// after `connect`.
    ///
    /// # Errors
    /// `Unavailable`, within `redis.connect_timeout` plus `redis.timeout`.
    pub async fn ping(&self) -> Result<Duration, StoreError> {
        let mut picked = self
            .pick(Instant::now() + self.shared.connect_timeout)
            .await?;
        picked.connection.set_response_timeout(self.shared.timeout);
        let start = Instant::now();
        let reply = picked.connection.send_packed_command(&cmd("PING")).await;
        self.settle(&picked, reply)
            .map_err(|failure| self.refuse(failure))?;
        Ok(start.elapsed())
    }

    /// Sends a command once. If the connection breaks, it is unknown whether Redis has executed it.
    ///
    /// # Errors
    /// `Unavailable` within `redis.timeout`; `Corrupt` when the reply is not a `T`.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let reply = self.attempt(command, self.deadline()).await?;
        self.understand(reply.map_err(|failure| self.refuse(failure))?)
    }

    /// As `query`, for an idempotent command: repeated within the same deadline after a broken
    /// connection, so that a restart of Redis or a killed connection is not noticed.
    ///
    /// # Errors
    /// As `query`.
    pub async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let deadline = self.deadline();
        let mut reply = self.attempt(command, deadline).await?;
        // Each attempt may find one more dead connection; one attempt more than there are slots
        // finds a new one.
        for _ in 0..self.shared.slots.len() {
            let Err(CommandFailure::Lost(_)) = reply else {
                break;
            };
            reply = self.attempt(command, deadline).await?;
        }
        self.understand(reply.map_err(|failure| self.refuse(failure))?)
    }

    /// Sends several commands at once; with `atomic()` as one transaction.
    ///
    /// # Errors
    /// As `query`, also when a single command is refused.
    pub async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        let mut picked = self.pick(self.deadline()).await?;
        let reply = commands.query_async::<Value>(&mut picked.connection).await;
        let reply = self
            .settle(&picked, reply)
            .map_err(|failure| self.refuse(failure))?;
        self.understand(reply)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.timeout
    }

    async fn attempt(
        &self,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Result<Value, CommandFailure>, StoreError> {
        let mut picked = self.pick(deadline).await?;
        let reply = picked.connection.send_packed_command(command).await;
        Ok(self.settle(&picked, reply))
    }

    /// The next live connection, round robin. If there is none, waits for one that is just being
    /// made.
    async fn pick(&self, deadline: Instant) -> Result<Picked<'_>, StoreError> {
        if self.shared.health.is_open() {
            return Err(
                self.unavailable(&format!("no reply to {MAX_UNANSWERED_COMMANDS} commands"))
            );
        }
        if let Some(picked) = self.live() {
            return Ok(picked);
        }
        // Boxed, or the future of every command would be as large as this rare one.
        Box::pin(self.wait(deadline)).await
    }

    fn live(&self) -> Option<Picked<'_>> {
        let slots = &self.shared.slots;
        let start = self.shared.next.fetch_add(1, Ordering::Relaxed);
        (0..slots.len()).find_map(|step| {
            let slot = slots.get(start.wrapping_add(step) % slots.len())?;
            match &**slot.state() {
                SlotState::Live {
                    connection,
                    generation,
                } => Some(Picked {
                    slot,
                    connection: connection.clone(),
                    generation: *generation,
                }),
                SlotState::Connecting | SlotState::Down(_) => None,
            }
        })
    }

    async fn wait(&self, deadline: Instant) -> Result<Picked<'_>, StoreError> {
        let mut cause = None;
        for slot in &self.shared.slots {
            let settled = slot.settled();
            tokio::pin!(settled);
            // Registered before the state is read, so that a state change in between is not missed.
            settled.as_mut().enable();
            if matches!(**slot.state(), SlotState::Connecting)
                && tokio::time::timeout_at(deadline, settled).await.is_err()
            {
                self.unanswered();
                return Err(self.unavailable("no connection in time"));
            }
            if let SlotState::Down(text) = &**slot.state() {
                cause = Some(text.clone());
            }
            if let Some(mut picked) = self.live() {
                let left = deadline.saturating_duration_since(Instant::now());
                picked.connection.set_response_timeout(left);
                return Ok(picked);
            }
        }
        Err(self.unavailable(&cause.unwrap_or_else(|| "no connection".to_owned())))
    }

    /// Reports the outcome of a command to slot and breaker.
    fn settle(
        &self,
        picked: &Picked<'_>,
        reply: RedisResult<Value>,
    ) -> Result<Value, CommandFailure> {
        let failure = match reply.and_then(Value::extract_error) {
            Ok(value) => {
                picked.slot.answered();
                self.shared.health.answered();
                return Ok(value);
            }
            Err(error) => CommandFailure::of(&error),
        };
        match &failure {
            CommandFailure::Silent => {
                picked.slot.unanswered();
                self.unanswered();
            }
            // Not counted: a link without connections fails by itself, and a burst of commands that
            // broke together must not open the breaker for the new connection.
            CommandFailure::Lost(_) => picked.slot.lost(picked.generation),
            CommandFailure::Useless(_) => {
                picked.slot.useless();
                self.shared.health.answered();
            }
            CommandFailure::Refused(_) | CommandFailure::Garbled(_) => {
                picked.slot.answered();
                self.shared.health.answered();
            }
        }
        Err(failure)
    }

    fn unanswered(&self) {
        if self.shared.health.unanswered() {
            for slot in &self.shared.slots {
                slot.suspect();
            }
        }
    }

    fn understand<T: FromRedisValue>(&self, value: Value) -> Result<T, StoreError> {
        from_redis_value(value).map_err(|_| StoreError::Corrupt {
            what: format!("redis at {}: a reply of another type", self.address()),
        })
    }

    fn refuse(&self, failure: CommandFailure) -> StoreError {
        match failure {
            CommandFailure::Silent => {
                self.unavailable(&format!("no reply within {:?}", self.shared.timeout))
            }
            CommandFailure::Lost(text)
            | CommandFailure::Useless(text)
            | CommandFailure::Refused(text) => self.unavailable(&text),
            CommandFailure::Garbled(text) => StoreError::Corrupt {
                what: format!("redis at {}: {text}", self.address()),
            },
        }
    }

    fn unavailable(&self, reason: &str) -> StoreError {
        StoreError::Unavailable {
            cause: format!("redis at {}: {reason}", self.address()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for supervisor in &self.supervisors {
            supervisor.abort();
        }
    }
}
