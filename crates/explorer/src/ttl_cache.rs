//! A TTL cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A cache whose entries expire after a fixed time.
#[derive(Debug)]
pub struct TtlCache<K, V> {
    time_to_live: Duration,
    entries: Mutex<Entries<K, V>>,
}

/// Values with the times of their insertion.
type Entries<K, V> = BTreeMap<K, (Instant, Arc<V>)>;

impl<K: Ord, V> TtlCache<K, V> {
    /// An empty cache.
    pub fn new(time_to_live: Duration) -> Self {
        Self { time_to_live, entries: Mutex::default() }
    }

    /// Returns the value of a key, unless it has expired.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.at(key, Instant::now())
    }

    /// Inserts a value, and returns it.
    pub fn put(&self, key: K, value: V) -> Arc<V> {
        self.put_at(key, value, Instant::now())
    }

    fn at(&self, key: &K, now: Instant) -> Option<Arc<V>> {
        let entries = self.lock();
        let (since, value) = entries.get(key)?;
        self.is_fresh(*since, now).then(|| Arc::clone(value))
    }

    fn put_at(&self, key: K, value: V, now: Instant) -> Arc<V> {
        let value = Arc::new(value);
        let mut entries = self.lock();
        // Bounds the size: keys that are not requested again are removed too.
        entries.retain(|_, (since, _)| self.is_fresh(*since, now));
        entries.insert(key, (now, Arc::clone(&value)));
        value
    }

    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.time_to_live
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_value_is_good_for_its_time() {
        let (remembered, begin) = (TtlCache::new(5 * SECOND), Instant::now());
        assert_eq!(*remembered.put_at("quotes", 1, begin), 1);
        for (seconds, expected) in [(0, Some(1)), (4, Some(1)), (5, None), (6, None)] {
            let found = remembered.at(&"quotes", begin + seconds * SECOND).map(|value| *value);
            assert_eq!(found, expected, "after {seconds} seconds");
        }
        assert!(remembered.at(&"options", begin).is_none());
        // A newer one takes its place, for as long.
        remembered.put_at("quotes", 2, begin + 4 * SECOND);
        assert_eq!(remembered.at(&"quotes", begin + 8 * SECOND).as_deref(), Some(&2));
    }

    #[test]
    fn what_is_no_longer_good_is_dropped() {
        let (remembered, begin) = (TtlCache::new(5 * SECOND), Instant::now());
        let first = remembered.put_at(1, "one", begin);
        remembered.put_at(2, "two", begin + 3 * SECOND);
        assert_eq!(Arc::strong_count(&first), 2);
        remembered.put_at(3, "three", begin + 6 * SECOND);
        assert_eq!(Arc::strong_count(&first), 1, "it is kept by nobody else");
        assert!(remembered.at(&2, begin + 6 * SECOND).is_some());
    }

    #[test]
    fn what_is_put_is_there() {
        let remembered = TtlCache::new(Duration::MAX);
        remembered.put("quotes", 1);
        assert_eq!(remembered.get(&"quotes").as_deref(), Some(&1));
    }
}
