//! A few changes of a user at a time. The next ones wait, and only so many: who has a thousand sessions and asks again and again
//! shall not take the places of everybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Changes of one user that are under way at once.
const AT_ONCE: usize = 4;
/// Those and the ones that wait.
const MOST: usize = 32;

type Queues = HashMap<String, Arc<Semaphore>>;

/// Who is being changed.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Queues>>);

/// A place in a user's queue; dropping it leaves.
pub(super) struct Turn {
    turns: Turns,
    user: String,
    queue: Arc<Semaphore>,
}

impl Turns {
    /// A place in the user's queue. `None` when it is full.
    pub(super) fn take(&self, user: &str) -> Option<Turn> {
        let mut queues = self.queues();
        let queue = queues
            .entry(user.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
        // The map has one, and each place.
        (Arc::strong_count(queue) <= MOST).then(|| Turn {
            turns: self.clone(),
            user: user.to_owned(),
            queue: Arc::clone(queue),
        })
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits for it. `None` never comes: no queue is closed.
    pub(super) async fn comes(&self) -> Option<SemaphorePermit<'_>> {
        // Borrowed, for the handles of a queue are counted.
        self.queue.acquire().await.ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.turns.queues();
        // The map and this one.
        if Arc::strong_count(&self.queue) <= 2 {
            queues.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_user_has_few_turns_at_a_time_and_others_have_theirs() {
        let turns = Turns::default();
        // Who has his turn is counted once, like the others.
        let first = turns.take("ann").unwrap();
        let its_turn = first.comes().now_or_never().unwrap();
        let mut ann: Vec<Turn> = (1..MOST).map(|_| turns.take("ann").unwrap()).collect();
        assert!(turns.take("ann").is_none());
        drop(its_turn);
        ann.push(first);
        assert!(turns.take("ann").is_none());
        let bob = turns.take("bob").unwrap();
        assert!(bob.comes().now_or_never().is_some());

        fn come(turn: &Turn) -> Option<Option<SemaphorePermit<'_>>> {
            turn.comes().now_or_never()
        }
        let mut under_way: Vec<_> = ann.iter().map_while(come).collect();
        assert_eq!(under_way.len(), AT_ONCE);
        assert!(turns.take("ann").is_none());
        drop(under_way.pop());
        assert!(come(&ann[AT_ONCE]).is_some());
        drop(under_way);

        drop((ann, bob));
        assert!(turns.queues().is_empty());
        assert!(turns.take("ann").is_some());
    }
}
