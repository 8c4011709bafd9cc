//! Concurrency limit of one endpoint: `max_in_flight` permits, and a queue of at most as many
//! requests that wait for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The permits and the length of the queue for them.
#[derive(Debug)]
pub(super) struct Permits {
    semaphore: Arc<Semaphore>,
    queued: AtomicUsize,
    max_queued: usize,
}

impl Permits {
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(max_in_flight)),
            queued: AtomicUsize::new(0),
            max_queued: max_in_flight,
        }
    }

    /// Takes a permit, after a wait in the queue if none is free.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full or no permit gets free within `timeout`.
    pub(super) async fn acquire(&self, timeout: Duration) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        // Boxed, since it is rare and the future of every request would hold it.
        Box::pin(self.queue(timeout)).await
    }

    async fn queue(&self, timeout: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let _queued = Queued::enter(&self.queued, self.max_queued)?;
        let permit = Arc::clone(&self.semaphore).acquire_owned();
        match tokio::time::timeout(timeout, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Error::Overloaded),
        }
    }
}

/// One request in the queue. Its drop leaves the queue, also when the request is cancelled.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(queued: &'a AtomicUsize, max: usize) -> Result<Self, Error> {
        let guard = Self(queued);
        if queued.fetch_add(1, Ordering::Relaxed) >= max {
            return Err(Error::Overloaded);
        }
        Ok(guard)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_a_permit_until_its_timeout_and_a_full_queue_refuses() {
        let permits = Permits::new(1);
        let held = permits.acquire(TIMEOUT).await.unwrap();
        let started = tokio::time::Instant::now();

        let (waited, refused) = tokio::join!(permits.acquire(TIMEOUT), async {
            let refused = permits.acquire(TIMEOUT).await;
            (refused, started.elapsed())
        });

        assert!(matches!(waited, Err(Error::Overloaded)));
        assert_eq!(started.elapsed(), TIMEOUT);
        assert!(matches!(refused, (Err(Error::Overloaded), Duration::ZERO)));
        let (next, ()) = tokio::join!(permits.acquire(TIMEOUT), async { drop(held) });
        assert!(next.is_ok());
    }
}
