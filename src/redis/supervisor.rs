//! Keeps one slot connected by pings and reconnects. A clone of a dead connection never recovers by
//! itself, and a frozen server looks alive to the socket, so both are detected here.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Value, cmd};
use deadpool_redis::{Connection, Pool, PoolError};
use tokio::time::Instant;

use super::error::CommandFailure;
use super::health::LinkHealth;
use super::slot::{Slot, SlotState};

/// Interval of pings while the connection replies, and the minimum age of a useless connection
/// before it is replaced.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of pings while the connection does not reply: together with the ping's deadline well
/// under the second within which an outage must end.
const RETRY_PING_INTERVAL: Duration = Duration::from_millis(100);
/// Consecutive pings without a reply that condemn a connection.
const MAX_MISSED_PINGS: u32 = 3;
/// Delay after a failed attempt to connect: doubles from the first value to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// Runs until its task is aborted.
pub(super) async fn supervise(slot: Arc<Slot>, health: Arc<LinkHealth>, pool: Pool) {
    let mut pause = BACKOFF.0;
    let mut down = false;
    loop {
        match connect(&pool).await {
            Ok(object) => {
                if std::mem::take(&mut down) {
                    tracing::info!(redis.address = health.address(), "redis is connected again");
                }
                pause = BACKOFF.0;
                slot.set_live(object.clone());
                health.answered();
                watch(&slot, &health, object.clone()).await;
                tracing::debug!(
                    redis.address = health.address(),
                    "replacing a redis connection"
                );
                slot.set_connecting();
                // Removed from the pool, which would otherwise return the dead connection again.
                drop(Connection::take(object));
            }
            Err(cause) => {
                if !std::mem::replace(&mut down, true) {
                    tracing::warn!(redis.address = health.address(), error = %cause, "redis cannot be reached");
                }
                slot.set_down(cause);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACKOFF.1);
            }
        }
    }
}

/// A connection that has replied to a ping: an open socket alone proves nothing.
async fn connect(pool: &Pool) -> Result<Connection, String> {
    let object = match pool.get().await {
        Ok(object) => object,
        Err(PoolError::Backend(error)) => return Err(cause_of(CommandFailure::of(&error))),
        Err(other) => return Err(other.to_string()),
    };
    match ping(&mut object.clone()).await {
        // Loading or out of memory: the commands themselves will report it.
        Ok(()) | Err(CommandFailure::Refused(_)) => Ok(object),
        Err(failure) => {
            drop(Connection::take(object));
            Err(cause_of(failure))
        }
    }
}

/// Returns when the connection has to be replaced.
async fn watch(slot: &Slot, health: &LinkHealth, mut connection: MultiplexedConnection) {
    let since = Instant::now();
    let mut silent = 0;
    loop {
        let pause = if silent == 0 && !health.is_open() {
            PING_INTERVAL
        } else {
            RETRY_PING_INTERVAL
        };
        tokio::select! {
            () = slot.suspected() => {}
            () = tokio::time::sleep(pause) => {}
        }
        if !matches!(**slot.state(), SlotState::Live { .. }) {
            return;
        }
        if slot.take_useless() && since.elapsed() >= PING_INTERVAL {
            return;
        }
        match ping(&mut connection).await {
            Ok(()) | Err(CommandFailure::Refused(_)) => {
                silent = 0;
                slot.answered();
                health.answered();
            }
            Err(CommandFailure::Silent) => {
                silent += 1;
                health.unanswered();
                if silent >= MAX_MISSED_PINGS || slot.silent_commands_condemn() {
                    return;
                }
            }
            Err(
                CommandFailure::Lost(_) | CommandFailure::Useless(_) | CommandFailure::Garbled(_),
            ) => return,
        }
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> Result<(), CommandFailure> {
    connection
        .send_packed_command(&cmd("PING"))
        .await
        .and_then(Value::extract_error)
        .map(drop)
        .map_err(|error| CommandFailure::of(&error))
}

fn cause_of(failure: CommandFailure) -> String {
    match failure {
        CommandFailure::Silent => "no reply to the connection attempt".to_owned(),
        CommandFailure::Lost(text)
        | CommandFailure::Useless(text)
        | CommandFailure::Refused(text)
        | CommandFailure::Garbled(text) => text,
    }
}
