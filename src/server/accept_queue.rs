//! Connections that were accepted and wait for a place: each address has one in turn. Who makes hundreds at a time waits for himself,
//! and the next caller from elsewhere does not stand behind all of them, as he would in the kernel's one queue.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// As many wait here at most; each has a descriptor. The others stay in the kernel's queue.
const MOST: usize = 256;
/// While those who are served already take less, each address has one newcomer in turn; else one more for each such time, or on a
/// busy server newcomers would never come to an end. Several times what a new connection takes, so that many cannot prolong it.
const ONE_MORE_PER: Duration = Duration::from_micros(500);

/// Who waits, in order of arrival within an address. `None` is everyone whose address does not count.
pub(super) struct FairQueue<T> {
    of: HashMap<Option<IpAddr>, VecDeque<T>>,
    waiting: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            waiting: 0,
        }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many more may wait.
    pub(super) fn room(&self) -> usize {
        MOST.saturating_sub(self.waiting)
    }

    pub(super) fn push(&mut self, address: Option<IpAddr>, newcomer: T) {
        self.of.entry(address).or_default().push_back(newcomer);
        self.waiting += 1;
    }

    /// The next ones of each address; `others` is the time since the last round, in which the others had their turn.
    pub(super) fn round(&mut self, others: Duration) -> Vec<T> {
        let times = others.as_nanos() / ONE_MORE_PER.as_nanos();
        let times = usize::try_from(times).unwrap_or(MOST).clamp(1, MOST);
        let mut next = Vec::new();
        for waiting in self.of.values_mut() {
            let few = times.min(waiting.len());
            next.extend(waiting.drain(..few));
        }
        self.of.retain(|_, waiting| !waiting.is_empty());
        self.waiting = self.waiting.saturating_sub(next.len());
        next
    }

    /// Everyone who waits.
    pub(super) fn all(&mut self) -> impl Iterator<Item = T> {
        self.waiting = 0;
        self.of.drain().flat_map(|(_, waiting)| waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_one_in_turn_and_its_own_in_order() {
        let many = Some("192.0.2.1".parse().unwrap());
        let one = Some("192.0.2.2".parse().unwrap());
        let mut newcomers = FairQueue::default();
        for number in 1..=3 {
            newcomers.push(many, number);
        }
        newcomers.push(None, 10);
        newcomers.push(one, 20);
        assert_eq!(newcomers.room(), MOST - 5);

        let rounds: Vec<Vec<i32>> = std::iter::from_fn(|| {
            let mut round = newcomers.round(Duration::ZERO);
            round.sort_unstable();
            (!round.is_empty()).then_some(round)
        })
        .collect();

        assert_eq!(rounds, [vec![1, 10, 20], vec![2], vec![3]]);
        assert!(newcomers.is_empty());
    }

    #[test]
    fn where_the_others_take_long_newcomers_are_more() {
        let mut newcomers = FairQueue::default();
        for number in 0..9 {
            newcomers.push(None, number);
        }

        assert_eq!(newcomers.round(ONE_MORE_PER / 2), [0]);
        assert_eq!(newcomers.round(ONE_MORE_PER * 3), [1, 2, 3]);
        assert_eq!(newcomers.round(Duration::from_secs(1)), [4, 5, 6, 7, 8]);
    }

    #[test]
    fn in_the_end_nobody_is_left_waiting() {
        let mut newcomers = FairQueue::default();
        for number in 0..5 {
            newcomers.push(None, number);
        }

        assert_eq!(newcomers.all().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(newcomers.room(), MOST);
    }
}
