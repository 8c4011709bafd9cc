//! Work that one holder does while the others wait for its result: on every replica where it is
//! kept in Redis, in this process where it is kept in memory. A holder that dies holds on for the
//! time that the work allows, then the next one takes over. What a holder does after that time
//! counts only while nothing else has happened.

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

/// Between two looks at work that another holder does.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Tells one holder from another.
type Mark = [u8; 16];

/// Where leases are kept. A clone shares them.
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
    /// Its result's name in the store, and the stem of all its names.
    name: String,
    /// Whose key seals the result; empty where it is of no app.
    appid: String,
    /// How long a holder may take.
    hold: Duration,
}

/// The right to do a piece of work. It ends by itself, and dropping it does not end it earlier.
pub struct HeldLease {
    work: Work,
    mark: Mark,
}

/// What the store knows of a piece of work.
#[derive(Debug)]
pub struct Look {
    /// The last result, while it lasts; also while the next one is being made.
    pub result: Option<Vec<u8>>,
    /// Whether the caller has to make the next one.
    pub state: LeaseState,
}

/// Who does a piece of work.
#[derive(Debug)]
pub enum LeaseState {
    /// There is a result that lasts: nothing is to be done.
    Fresh,
    /// The caller, from now on.
    Granted(HeldLease),
    /// Another holder.
    Busy,
    /// It failed a moment ago, or the store takes no more work: not to be tried now.
    Failed,
}

/// What waiting for a piece of work came to.
#[derive(Debug)]
pub enum Claim {
    /// The result, made by this or another holder.
    Result(Vec<u8>),
    /// The caller has to do the work.
    Granted(HeldLease),
    /// As `LeaseState::Failed`.
    Failed,
}

/// Why waiting for a piece of work came to nothing.
#[derive(Debug)]
pub enum ClaimError {
    /// The store cannot answer.
    Store(StoreError),
    /// Another holder was not done in time.
    Late,
}

impl Work {
    /// Work named by what it is about, which need not be fit for a key and does not show there.
    /// `hold` has to be longer than the deadline of the work itself, or a second holder begins
    /// beside the first.
    #[must_use]
    pub fn about(kind: &str, appid: &str, subject: &[&str], hold: Duration) -> Self {
        let hash = hash(subject);
        Self::named(format!("l:{{{kind}:{hash}}}"), appid, hold)
    }

    /// Work with a name of the caller's: a part in braces keeps its keys in one slot of a cluster.
    #[must_use]
    pub fn named(name: String, appid: &str, hold: Duration) -> Self {
        Self {
            name,
            appid: appid.to_owned(),
            hold,
        }
    }
}

impl Leases {
    /// In Redis where there is a link, else in memory. Connects to nothing.
    #[must_use]
    pub fn new(link: Option<RedisLink>, config: &Config) -> Self {
        let Some(link) = link else {
            return Self::memory();
        };
        let sealer = Sealer::new(&config.session.seal_keys, &config.apps);
        Self::redis(link, &config.redis.key_prefix, sealer)
    }

    /// The same leases, sealed by the keys of another configuration.
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

    /// In memory, for at most so many pieces of work at once: `Failed` for more.
    #[must_use]
    pub fn memory_for(most: usize) -> Self {
        Self::Memory(MemoryLeases::new(most))
    }

    /// Looks at a piece of work, once. Where there is no result that lasts longer than `ahead`, and
    /// no other holder, the caller has to make one from now on.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn look(&self, work: &Work, ahead: Duration) -> Result<Look, StoreError> {
        match self {
            Self::Redis(store) => store.look(work, ahead).await,
            Self::Memory(store) => store.look(work, ahead),
        }
    }

    /// Waits for the result of a piece of work, or for the right to do it. `waited` is lengthened
    /// by the pauses.
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

    /// Ends the work with a result, which lasts for a time. Does nothing when another holder has
    /// taken over.
    ///
    /// # Errors
    /// The store did not confirm it: the lease ends by itself.
    pub async fn publish(
        &self,
        lease: HeldLease,
        result: &[u8],
        lasts: Duration,
    ) -> Result<(), StoreError> {
        self.publish_and_hold(lease, result, lasts, Duration::ZERO)
            .await
    }

    /// As `publish`, and nothing new is begun for so long.
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

    /// Ends the work without a result: nothing new is begun for so long.
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

    /// Ends the work without a result: the next to look gets it.
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
    /// Results and turns that memory is held for.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Redis(_) => 0,
            Self::Memory(store) => store.len(),
        }
    }
}

/// Waits until it is time to look again; for how long.
///
/// # Errors
/// `Late`, where that would be after the deadline.
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

/// Base64url of the SHA-256 of all parts: a login code is a credential until it is used. Their
/// lengths keep `["a", "bc"]` from `["ab", "c"]`.
fn hash(parts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.finish())
}
