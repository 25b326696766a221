//! Answers that are good for a while, so that the same is not asked again at each question of a page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What was found under each key a while ago. What is older than that is as if it had never been known.
#[derive(Debug)]
pub struct Remembered<K, V> {
    good_for: Duration,
    known: Mutex<Known<K, V>>,
}

/// Values, and since when they are known.
type Known<K, V> = BTreeMap<K, (Instant, Arc<V>)>;

impl<K: Ord, V> Remembered<K, V> {
    /// Nothing yet; each value is good for so long.
    pub fn new(good_for: Duration) -> Self {
        Self { good_for, known: Mutex::default() }
    }

    /// The value of a key, if it is still good.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.at(key, Instant::now())
    }

    /// Remembers a value from now on, and gives it back.
    pub fn put(&self, key: K, value: V) -> Arc<V> {
        self.put_at(key, value, Instant::now())
    }

    fn at(&self, key: &K, now: Instant) -> Option<Arc<V>> {
        let known = self.lock();
        let (since, value) = known.get(key)?;
        self.is_good(*since, now).then(|| Arc::clone(value))
    }

    fn put_at(&self, key: K, value: V, now: Instant) -> Arc<V> {
        let value = Arc::new(value);
        let mut known = self.lock();
        // So that keys which nobody asks for any more do not pile up.
        known.retain(|_, (since, _)| self.is_good(*since, now));
        known.insert(key, (now, Arc::clone(&value)));
        value
    }

    fn is_good(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.good_for
    }

    fn lock(&self) -> MutexGuard<'_, Known<K, V>> {
        self.known.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_value_is_good_for_its_time() {
        let (remembered, begin) = (Remembered::new(5 * SECOND), Instant::now());
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
        let (remembered, begin) = (Remembered::new(5 * SECOND), Instant::now());
        let first = remembered.put_at(1, "one", begin);
        remembered.put_at(2, "two", begin + 3 * SECOND);
        assert_eq!(Arc::strong_count(&first), 2);
        remembered.put_at(3, "three", begin + 6 * SECOND);
        assert_eq!(Arc::strong_count(&first), 1, "it is kept by nobody else");
        assert!(remembered.at(&2, begin + 6 * SECOND).is_some());
    }

    #[test]
    fn what_is_put_is_there() {
        let remembered = Remembered::new(Duration::MAX);
        remembered.put("quotes", 1);
        assert_eq!(remembered.get(&"quotes").as_deref(), Some(&1));
    }
}
