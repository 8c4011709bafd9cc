//! Leases in memory, with the semantics of those in Redis.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{HeldLease, LeaseState, Look, Mark, Work};
use crate::store_error::StoreError;
use crate::ttl_map::TtlMap;

/// Leases that end with the process. Clones share them.
#[derive(Clone)]
pub struct MemoryLeases {
    most: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    results: TtlMap<Vec<u8>>,
    /// `None` after a failure.
    holders: TtlMap<Option<Mark>>,
}

impl MemoryLeases {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Arc::new(Mutex::new(State {
                results: TtlMap::new(),
                holders: TtlMap::new(),
            })),
        }
    }

    pub(super) fn look(&self, work: &Work, ahead: Duration) -> Result<Look, StoreError> {
        let lease = HeldLease::new(work)?;
        let now = Instant::now();
        let state = &mut *self.state();
        state.results.sweep(now);
        state.holders.sweep(now);
        let found = state.results.find(&work.name, now);
        let found = found.map(|(result, ends)| (result.clone(), ends - now > ahead));
        let turn = state.holders.find(&work.name, now).map(|(mark, _)| *mark);
        let state = match (&found, turn) {
            (Some((_, true)), _) => LeaseState::Fresh,
            (_, Some(Some(_))) => LeaseState::Busy,
            (_, Some(None)) => LeaseState::Failed,
            (None, None) if state.is_full(self.most, now) => LeaseState::Failed,
            (_, None) => {
                let ends = now + work.hold;
                state.holders.insert(&work.name, Some(lease.mark), ends);
                LeaseState::Granted(lease)
            }
        };
        Ok(Look {
            result: found.map(|(result, _)| result),
            state,
        })
    }

    pub(super) fn publish(
        &self,
        lease: &HeldLease,
        result: &[u8],
        lasts: Duration,
        hold: Duration,
    ) {
        let now = Instant::now();
        let name = &lease.work.name;
        let state = &mut *self.state();
        let is_held = state.is_held(lease, now);
        let is_free =
            state.holders.find(name, now).is_none() && state.results.find(name, now).is_none();
        if !is_held && !is_free {
            return;
        }
        state.results.insert(name, result.to_vec(), now + lasts);
        if hold.is_zero() {
            state.holders.remove(name, now);
        } else if is_held {
            state.holders.insert(name, Some(lease.mark), now + hold);
        }
    }

    pub(super) fn fail(&self, lease: &HeldLease, lasts: Duration) {
        let now = Instant::now();
        let state = &mut *self.state();
        if state.is_held(lease, now) {
            state.holders.insert(&lease.work.name, None, now + lasts);
        }
    }

    pub(super) fn release(&self, lease: &HeldLease) {
        let now = Instant::now();
        let state = &mut *self.state();
        if state.is_held(lease, now) {
            state.holders.remove(&lease.work.name, now);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let state = self.state();
        state.results.len() + state.holders.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before the next statement that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_held(&mut self, lease: &HeldLease, now: Instant) -> bool {
        let turn = self.holders.find(&lease.work.name, now);
        turn.is_some_and(|(mark, _)| *mark == Some(lease.mark))
    }

    /// Whether no further work fits, after expired entries are removed.
    fn is_full(&mut self, most: usize, now: Instant) -> bool {
        let is_full = |state: &Self| state.results.len() + state.holders.len() >= most;
        if is_full(self) {
            self.results.sweep_all(now);
            self.holders.sweep_all(now);
        }
        is_full(self)
    }
}
