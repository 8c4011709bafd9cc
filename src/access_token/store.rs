//! Where tokens are kept, and whose turn it is to renew one: with the same rules in Redis and in memory.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::memory::MemoryTokens;
use super::redis::RedisTokens;
use crate::config::Secret;
use crate::redis::StoreError;
use crate::seal::SealError;

/// Where tokens are kept.
pub(super) enum Store {
    Redis(RedisTokens),
    Memory(MemoryTokens),
}

/// When a token is due to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Shortly before its end.
    Soon,
    /// Whatever its end: WeChat refuses it.
    Now,
}

/// What the store knows of a token.
pub(super) struct Look {
    /// The token, while it is good.
    pub(super) token: Option<Secret>,
    pub(super) turn: Turn,
}

/// Who renews the token.
pub(super) enum Turn {
    /// Nobody has to.
    Nobodys,
    /// The caller, from now on.
    Ours(Lease),
    /// Somebody else is at it.
    Others,
    /// Nobody: it failed a moment ago.
    Failed,
}

/// The right to renew an app's token. Ends by itself.
pub(super) struct Lease {
    pub(super) appid: String,
    /// Tells our right from the one of a later holder.
    pub(super) mark: [u8; 16],
}

impl Store {
    /// One round trip. Where a renewal is due and nobody is at it, it is the caller's turn from then on.
    pub(super) async fn look(&self, appid: &str, due: Due) -> Result<Look, StoreError> {
        match self {
            Self::Redis(store) => store.look(appid, due).await,
            Self::Memory(store) => store.look(appid, due),
        }
    }

    /// Stores the token for so long, and ends the turn; nothing if the turn is another's by now.
    pub(super) async fn keep(
        &self,
        lease: &Lease,
        token: &Secret,
        lasts: Duration,
    ) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.keep(lease, token, lasts).await,
            Self::Memory(store) => {
                store.keep(lease, token, lasts);
                Ok(())
            }
        }
    }

    /// Lets nobody try for a moment.
    pub(super) async fn fail(&self, lease: &Lease) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.fail(lease).await,
            Self::Memory(store) => {
                store.fail(lease);
                Ok(())
            }
        }
    }

    /// Ends the turn without having done anything.
    pub(super) async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.release(lease).await,
            Self::Memory(store) => {
                store.release(lease);
                Ok(())
            }
        }
    }

    /// Whether a good token may be ended now; counts it.
    pub(super) async fn may_force(&self, appid: &str) -> Result<bool, StoreError> {
        match self {
            Self::Redis(store) => store.may_force(appid).await,
            Self::Memory(store) => Ok(store.may_force(appid)),
        }
    }
}

impl Lease {
    pub(super) fn new(appid: &str) -> Result<Self, StoreError> {
        let mut mark = [0; 16];
        let filled = SystemRandom::new().fill(&mut mark);
        filled.map_err(|_| SealError::NoRandomness)?;
        Ok(Self {
            appid: appid.to_owned(),
            mark,
        })
    }
}
