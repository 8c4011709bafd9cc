//! The queue of one process, with the rules of the one in Redis.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{LEASE, Leased, Notice};

#[derive(Default)]
pub(super) struct MemoryQueue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    last_mark: u64,
}

struct Waiting {
    notice: Notice,
    due: Instant,
    mark: u64,
}

impl MemoryQueue {
    pub(super) fn add(&self, notice: Notice) {
        let mut state = self.state();
        if state.waiting.iter().all(|one| one.notice.id != notice.id) {
            state.waiting.push(Waiting {
                notice,
                due: Instant::now(),
                mark: 0,
            });
        }
    }

    pub(super) fn lease(&self) -> Option<Leased> {
        let now = Instant::now();
        let state = &mut *self.state();
        let due = state.waiting.iter_mut().filter(|one| one.due <= now);
        let first = due.min_by_key(|one| one.due)?;
        state.last_mark += 1;
        first.mark = state.last_mark;
        first.due = now + LEASE;
        Some(Leased {
            notice: first.notice.clone(),
            mark: first.mark,
        })
    }

    pub(super) fn put_back(&self, notice: Notice, mark: u64, pause: Duration) {
        let mut state = self.state();
        if let Some(one) = state.waiting.iter_mut().find(|one| one.mark == mark) {
            one.notice = notice;
            one.due = Instant::now() + pause;
        }
    }

    pub(super) fn remove(&self, id: &str) {
        self.state().waiting.retain(|one| one.notice.id != id);
    }

    #[cfg(test)]
    pub(super) fn hurry(&self) {
        let now = Instant::now();
        self.state()
            .waiting
            .iter_mut()
            .for_each(|one| one.due = now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before the next statement that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
