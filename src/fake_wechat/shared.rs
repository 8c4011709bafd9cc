//! State of the fake with its call counts, shared by all connections.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::endpoint::Endpoint;
use super::state::FakeState;

/// State shared by the connections and the owner of the fake.
#[derive(Debug)]
pub(super) struct FakeShared {
    state: Mutex<FakeState>,
    calls: watch::Sender<HashMap<Endpoint, u64>>,
}

impl FakeShared {
    pub(super) fn new(state: FakeState) -> Self {
        Self {
            state: Mutex::new(state),
            calls: watch::Sender::new(HashMap::new()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calls(&self, endpoint: Endpoint) -> u64 {
        self.calls.borrow().get(&endpoint).copied().unwrap_or(0)
    }

    pub(super) async fn wait_for_calls(&self, endpoint: Endpoint, count: u64) {
        let enough = |calls: &HashMap<_, _>| calls.get(&endpoint).copied().unwrap_or(0) >= count;
        // The sender is in `self`, so it still exists.
        let _ = self.calls.subscribe().wait_for(enough).await;
    }

    pub(super) fn reset(&self) {
        self.state().reset();
        self.calls.send_modify(HashMap::clear);
    }

    pub(super) fn count(&self, endpoint: Endpoint) {
        self.calls
            .send_modify(|calls| *calls.entry(endpoint).or_default() += 1);
    }
}
