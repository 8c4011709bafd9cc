//! Concurrency limit per user with a bounded queue, so that one user with many sessions cannot
//! exhaust the global limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Holders of a permit per key.
const MAX_PERMITS: usize = 4;
/// Queue entries per key: holders of a permit and waiters.
const MAX_QUEUED: usize = 32;

type Queues = HashMap<String, Arc<Semaphore>>;

/// One semaphore per key, dropped with its last queue entry. A clone shares all of them.
#[derive(Clone, Default)]
pub(super) struct KeyedSemaphore(Arc<Mutex<Queues>>);

/// An entry in the queue of a key; dropping it leaves the queue.
pub(super) struct QueueEntry {
    semaphore: KeyedSemaphore,
    key: String,
    queue: Arc<Semaphore>,
}

impl KeyedSemaphore {
    /// Enters the queue of a key. `None` when the queue is full.
    pub(super) fn enter(&self, key: &str) -> Option<QueueEntry> {
        let mut queues = self.queues();
        let queue = queues
            .entry(key.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(MAX_PERMITS)));
        // One reference belongs to the map, the others to queue entries.
        (Arc::strong_count(queue) <= MAX_QUEUED).then(|| QueueEntry {
            semaphore: self.clone(),
            key: key.to_owned(),
            queue: Arc::clone(queue),
        })
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueEntry {
    /// Waits for a permit. Never `None`: the semaphores are not closed.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // A borrowed permit: an owned one would clone the `Arc`, and the clones are counted.
        self.queue.acquire().await.ok()
    }
}

impl Drop for QueueEntry {
    fn drop(&mut self) {
        let mut queues = self.semaphore.queues();
        // The references of the map and of this entry.
        if Arc::strong_count(&self.queue) <= 2 {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_key_has_its_own_permits_and_queue() {
        let semaphore = KeyedSemaphore::default();
        let first = semaphore.enter("ann").unwrap();
        // A held permit does not count a second time.
        let permit = first.permit().now_or_never().unwrap();
        let mut ann: Vec<QueueEntry> = (1..MAX_QUEUED)
            .map(|_| semaphore.enter("ann").unwrap())
            .collect();
        assert!(semaphore.enter("ann").is_none());
        drop(permit);
        ann.push(first);
        assert!(semaphore.enter("ann").is_none());
        let bob = semaphore.enter("bob").unwrap();
        assert!(bob.permit().now_or_never().is_some());

        fn poll(entry: &QueueEntry) -> Option<Option<SemaphorePermit<'_>>> {
            entry.permit().now_or_never()
        }
        let mut permits: Vec<_> = ann.iter().map_while(poll).collect();
        assert_eq!(permits.len(), MAX_PERMITS);
        assert!(semaphore.enter("ann").is_none());
        drop(permits.pop());
        assert!(poll(&ann[MAX_PERMITS]).is_some());
        drop(permits);

        drop((ann, bob));
        assert!(semaphore.queues().is_empty());
        assert!(semaphore.enter("ann").is_some());
    }
}
