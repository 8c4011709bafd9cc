//! Single flight: one holder does a piece of work while the others wait for its result, across all
//! replicas in Redis, or within this process in memory. When a holder dies, its lease expires and
//! the next caller takes over. A holder that finishes after its lease expired still publishes,
//! unless another has taken over.

mod memory;
mod redis;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::{Instant, sleep};

use self::memory::MemoryLeases;
use self::redis::RedisLeases;
use crate::config::Config;
use crate::redis::RedisLink;
use crate::seal::{SealError, Sealer};
use crate::store_error::StoreError;

/// Interval between looks at work that another holder does.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Identifies a holder.
type Mark = [u8; 16];

/// The store of leases. Clones share it.
#[derive(Clone)]
pub enum Leases {
    /// Shared by all replicas; results are sealed.
    Redis(RedisLeases),
    /// In this process.
    Memory(MemoryLeases),
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Key of the result in the store, and stem of the other keys.
    name: String,
    /// The app whose key seals the result; empty if it belongs to none.
    appid: String,
    /// Maximum time of a holder.
    hold: Duration,
    /// Whether it may be done again while there is a result that cannot be read.
    is_repeatable: bool,
}

/// The right to do a piece of work. It expires by itself; dropping it does not end it earlier.
pub struct HeldLease {
    work: Work,
    mark: Mark,
}

/// The state of a piece of work in the store.
#[derive(Debug)]
pub struct Look {
    /// The last result until it expires, also while the next one is being made.
    pub result: Option<Vec<u8>>,
    /// Whether the caller must make the next one.
    pub state: LeaseState,
}

/// The holder of a piece of work.
#[derive(Debug)]
pub enum LeaseState {
    /// None: the result is still valid.
    Fresh,
    /// The caller, from now on.
    Granted(HeldLease),
    /// Another holder.
    Busy,
    /// None: the work failed recently, or the store is full. Do not try now.
    Failed,
}

/// The outcome of waiting for a piece of work.
#[derive(Debug)]
pub enum Claim {
    /// The result of this or another holder.
    Result(Vec<u8>),
    /// The caller must do the work.
    Granted(HeldLease),
    /// As `LeaseState::Failed`.
    Failed,
}

/// Why waiting failed.
#[derive(Debug)]
pub enum ClaimError {
    /// The store cannot answer.
    Store(StoreError),
    /// The other holder did not finish in time.
    Late,
}

impl Work {
    /// Work named by the hash of its subject, which does not appear in the key. `hold` must be
    /// longer than the deadline of the work itself, or a second holder may start beside the first.
    #[must_use]
    pub fn about(kind: &str, appid: &str, subject: &[&str], hold: Duration) -> Self {
        let hash = hash(subject);
        Self::named(format!("l:{{{kind}:{hash}}}"), appid, hold)
    }

    /// Work with a given name. A part in braces keeps its keys in one cluster slot.
    #[must_use]
    pub fn named(name: String, appid: &str, hold: Duration) -> Self {
        Self {
            name,
            appid: appid.to_owned(),
            hold,
            is_repeatable: false,
        }
    }

    /// Work that may be done again at any time, so that a result sealed under an unknown key counts
    /// as none. Other work waits until such a result ends: a login code must not be sent twice.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }
}

impl Leases {
    /// In Redis if there is a link, else in memory. Opens no connection.
    #[must_use]
    pub fn new(link: Option<RedisLink>, config: &Config) -> Self {
        let Some(link) = link else {
            return Self::memory();
        };
        let sealer = Sealer::new(&config.session.seal_keys, &config.apps);
        Self::redis(link, &config.redis.key_prefix, sealer)
    }

    /// The same leases, with the sealing keys of another configuration.
    #[must_use]
    pub fn reconfigured(&self, config: &Config) -> Self {
        match self {
            Self::Redis(leases) => {
                let sealer = Sealer::new(&config.session.seal_keys, &config.apps);
                Self::Redis(leases.reconfigured(sealer))
            }
            Self::Memory(leases) => Self::Memory(leases.clone()),
        }
    }

    /// In Redis.
    #[must_use]
    pub fn redis(link: RedisLink, key_prefix: &str, sealer: Sealer) -> Self {
        Self::Redis(RedisLeases::new(link, key_prefix, sealer))
    }

    /// In memory.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(MemoryLeases::new(usize::MAX))
    }

    /// In memory, for at most `most` pieces of work; further work is `Failed`.
    #[must_use]
    pub fn memory_for(most: usize) -> Self {
        Self::Memory(MemoryLeases::new(most))
    }

    /// Looks at a piece of work once. If no result is valid for longer than `ahead` and there is no
    /// holder, the caller gets the lease.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn look(&self, work: &Work, ahead: Duration) -> Result<Look, StoreError> {
        match self {
            Self::Redis(store) => store.look(work, ahead).await,
            Self::Memory(store) => store.look(work, ahead),
        }
    }

    /// Waits for a result or for the lease. Adds the waiting time to `waited`.
    ///
    /// # Errors
    /// `Late`, before `deadline`; `Store`.
    pub async fn claim(
        &self,
        work: &Work,
        deadline: Instant,
        waited: &mut Duration,
    ) -> Result<Claim, ClaimError> {
        loop {
            let Look { result, state } = self.look(work, Duration::ZERO).await?;
            match (result, state) {
                (_, LeaseState::Granted(lease)) => return Ok(Claim::Granted(lease)),
                (Some(result), LeaseState::Fresh) => return Ok(Claim::Result(result)),
                (_, LeaseState::Failed) => return Ok(Claim::Failed),
                (_, LeaseState::Busy | LeaseState::Fresh) => *waited += pause(deadline).await?,
            }
        }
    }

    /// Stores a result for the time `lasts` and ends the lease. Does nothing when another holder
    /// has taken over.
    ///
    /// # Errors
    /// The store did not confirm it: the lease expires by itself.
    pub async fn publish(
        &self,
        lease: HeldLease,
        result: &[u8],
        lasts: Duration,
    ) -> Result<(), StoreError> {
        self.publish_and_hold(lease, result, lasts, Duration::ZERO)
            .await
    }

    /// Like `publish`, but grants no new lease for the time `hold`.
    ///
    /// # Errors
    /// As `publish`.
    pub async fn publish_and_hold(
        &self,
        lease: HeldLease,
        result: &[u8],
        lasts: Duration,
        hold: Duration,
    ) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.publish(&lease, result, lasts, hold).await,
            Self::Memory(store) => {
                store.publish(&lease, result, lasts, hold);
                Ok(())
            }
        }
    }

    /// Ends the lease without a result and grants no new one for the time `lasts`.
    ///
    /// # Errors
    /// As `publish`.
    pub async fn fail(&self, lease: HeldLease, lasts: Duration) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.fail(&lease, lasts).await,
            Self::Memory(store) => {
                store.fail(&lease, lasts);
                Ok(())
            }
        }
    }

    /// Ends the lease without a result; the next caller may get it.
    ///
    /// # Errors
    /// As `publish`.
    pub async fn release(&self, lease: HeldLease) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.release(&lease).await,
            Self::Memory(store) => {
                store.release(&lease);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
impl Leases {
    /// Results and leases held in memory.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Redis(_) => 0,
            Self::Memory(store) => store.len(),
        }
    }
}

/// Waits for the next look; returns the time waited.
///
/// # Errors
/// `Late` if the next look would be after the deadline.
pub async fn pause(deadline: Instant) -> Result<Duration, ClaimError> {
    if Instant::now() + POLL_INTERVAL >= deadline {
        return Err(ClaimError::Late);
    }
    sleep(POLL_INTERVAL).await;
    Ok(POLL_INTERVAL)
}

impl HeldLease {
    fn new(work: &Work) -> Result<Self, SealError> {
        let mut mark = [0; 16];
        let filled = SystemRandom::new().fill(&mut mark);
        filled.map_err(|_| SealError::NoRandomness)?;
        Ok(Self {
            work: work.clone(),
            mark,
        })
    }
}

impl fmt::Debug for HeldLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldLease(..)")
    }
}

impl From<StoreError> for ClaimError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Base64url of the SHA-256 of all parts, because an unused login code is a credential. Lengths are
/// hashed too, so that `["a", "bc"]` and `["ab", "c"]` differ.
fn hash(parts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.finish())
}
