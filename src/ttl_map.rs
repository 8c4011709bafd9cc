//! An in-memory map whose entries expire. Expired entries are never returned, and are removed a few
//! at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use tokio::time::Instant;

/// Maximum expired entries that one `sweep` removes, so that no single caller pays for all of them.
const MAX_SWEPT: usize = 32;

/// A map from strings to values, each with its own expiry.
pub(crate) struct TtlMap<V> {
    entries: HashMap<String, Entry<V>>,
    /// Exactly one valid item per entry, at or before its expiry.
    queue: BinaryHeap<Reverse<(Instant, String)>>,
}

struct Entry<V> {
    value: V,
    ends: Instant,
    queued: Instant,
}

impl<V> TtlMap<V> {
    pub(crate) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            queue: BinaryHeap::new(),
        }
    }

    /// The value and its expiry.
    pub(crate) fn find(&mut self, key: &str, now: Instant) -> Option<(&mut V, Instant)> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.ends > now)?;
        Some((&mut entry.value, entry.ends))
    }

    /// All live entries with their expiry.
    pub(crate) fn iter(&self, now: Instant) -> impl Iterator<Item = (&str, &V, Instant)> {
        let live = self
            .entries
            .iter()
            .filter(move |(_, entry)| entry.ends > now);
        live.map(|(key, entry)| (key.as_str(), &entry.value, entry.ends))
    }

    pub(crate) fn insert(&mut self, key: &str, value: V, ends: Instant) {
        self.queue.push(Reverse((ends, key.to_owned())));
        self.entries.insert(
            key.to_owned(),
            Entry {
                value,
                ends,
                queued: ends,
            },
        );
    }

    pub(crate) fn set_end(&mut self, key: &str, ends: Instant) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.ends = ends;
        // A later expiry is noticed when the queued item is due.
        if ends < entry.queued {
            entry.queued = ends;
            self.queue.push(Reverse((ends, key.to_owned())));
        }
    }

    pub(crate) fn remove(&mut self, key: &str, now: Instant) -> Option<V> {
        let entry = self.entries.remove(key)?;
        (entry.ends > now).then_some(entry.value)
    }

    /// Entries in memory; some may have expired.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes some expired entries.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.sweep_some(now, MAX_SWEPT);
    }

    /// Removes all expired entries.
    pub(crate) fn sweep_all(&mut self, now: Instant) {
        self.sweep_some(now, usize::MAX);
    }

    fn sweep_some(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            match self.queue.peek() {
                Some(Reverse((time, _))) if *time <= now => {}
                Some(_) | None => return,
            }
            let Some(Reverse((time, key))) = self.queue.pop() else {
                return;
            };
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if entry.queued != time {
                continue;
            }
            if entry.ends > now {
                entry.queued = entry.ends;
                self.queue.push(Reverse((entry.ends, key)));
            } else {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn ended_entries_are_absent_and_their_memory_is_given_back() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut map = TtlMap::new();
        for number in 0..10 {
            map.insert(&format!("k{number}"), number, start + second);
        }
        map.set_end("k0", start + 5 * second);
        map.set_end("k1", start + second / 2);
        assert!(map.find("k1", start).is_some());
        assert!(map.find("k1", start + second / 2).is_none());
        map.sweep(start + 2 * second);
        assert_eq!((map.entries.len(), map.queue.len()), (1, 1));
        assert!(map.find("k0", start + 2 * second).is_some());
        map.sweep(start + 5 * second);
        assert_eq!((map.entries.len(), map.queue.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_stored_again_keeps_one_place_in_the_queue() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut map = TtlMap::new();
        map.insert("k", 1, start + second);
        map.insert("k", 2, start + 3 * second);
        map.sweep(start + 2 * second);
        assert_eq!(map.queue.len(), 1);
        assert_eq!(map.find("k", start + 2 * second).map(|x| *x.0), Some(2));
    }
}
