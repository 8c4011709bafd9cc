//! Fair queue of accepted connections: each address has one connection admitted in turn. An address
//! that opens hundreds at a time delays itself; in the kernel's single queue every other client
//! would wait behind all of them.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Connections that wait here, at most; each holds a descriptor. The others stay in the kernel's
/// queue.
const MAX_WAITING: usize = 256;
/// An address has one connection admitted per round, and one more for each such interval that the
/// open connections took since the last round: at one per round, a busy server would never empty
/// the queue. Several times the cost of a new connection, so that many of them cannot lengthen a
/// round.
const EXTRA_TURN_INTERVAL: Duration = Duration::from_micros(500);

/// Waiting connections in order of arrival within an address. `None` holds all connections whose
/// address is not counted.
pub(super) struct FairQueue<T> {
    queues: HashMap<Option<IpAddr>, VecDeque<T>>,
    waiting: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            waiting: 0,
        }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many more connections may wait.
    pub(super) fn free(&self) -> usize {
        MAX_WAITING.saturating_sub(self.waiting)
    }

    pub(super) fn push(&mut self, address: Option<IpAddr>, connection: T) {
        self.queues
            .entry(address)
            .or_default()
            .push_back(connection);
        self.waiting += 1;
    }

    /// Takes the next connections of each address. `elapsed` is the time since the last round, in
    /// which the open connections had their turn.
    pub(super) fn round(&mut self, elapsed: Duration) -> Vec<T> {
        let turns = elapsed.as_nanos() / EXTRA_TURN_INTERVAL.as_nanos();
        let turns = usize::try_from(turns).unwrap_or(MAX_WAITING);
        let turns = turns.clamp(1, MAX_WAITING);
        let mut next = Vec::new();
        for waiting in self.queues.values_mut() {
            let count = turns.min(waiting.len());
            next.extend(waiting.drain(..count));
        }
        self.queues.retain(|_, waiting| !waiting.is_empty());
        self.waiting = self.waiting.saturating_sub(next.len());
        next
    }

    /// Takes every waiting connection.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.waiting = 0;
        self.queues.drain().flat_map(|(_, waiting)| waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_one_connection_per_round_in_order() {
        let many = Some("192.0.2.1".parse().unwrap());
        let one = Some("192.0.2.2".parse().unwrap());
        let mut queue = FairQueue::default();
        for number in 1..=3 {
            queue.push(many, number);
        }
        queue.push(None, 10);
        queue.push(one, 20);
        assert_eq!(queue.free(), MAX_WAITING - 5);

        let rounds: Vec<Vec<i32>> = std::iter::from_fn(|| {
            let mut round = queue.round(Duration::ZERO);
            round.sort_unstable();
            (!round.is_empty()).then_some(round)
        })
        .collect();

        assert_eq!(rounds, [vec![1, 10, 20], vec![2], vec![3]]);
        assert!(queue.is_empty());
    }

    #[test]
    fn long_rounds_admit_more_connections() {
        let mut queue = FairQueue::default();
        for number in 0..9 {
            queue.push(None, number);
        }

        assert_eq!(queue.round(EXTRA_TURN_INTERVAL / 2), [0]);
        assert_eq!(queue.round(EXTRA_TURN_INTERVAL * 3), [1, 2, 3]);
        assert_eq!(queue.round(Duration::from_secs(1)), [4, 5, 6, 7, 8]);
    }

    #[test]
    fn drain_takes_every_waiting_connection() {
        let mut queue = FairQueue::default();
        for number in 0..5 {
            queue.push(None, number);
        }

        assert_eq!(queue.drain().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(queue.free(), MAX_WAITING);
    }
}
