//! Cells and locks with a key, so that work for one key never waits for work for another.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// Locks a mutex whose content a panic leaves whole.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values by key, each computed once when it is first needed.
pub struct KeyedCells<K, V>(Mutex<HashMap<K, Arc<Mutex<Option<V>>>>>);

impl<K, V> Default for KeyedCells<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> KeyedCells<K, V> {
    /// Returns the value of a key. Computes it if there is none; other callers with this key wait for the result.
    ///
    /// A failure is not kept: the next caller computes again.
    pub fn get_or_try_init<E>(&self, key: &K, compute: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        // This lock is released before anything is computed.
        let cell = lock(&self.0).entry(key.clone()).or_default().clone();
        let mut value = lock(&cell);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        let computed = compute()?;
        *value = Some(computed.clone());
        Ok(computed)
    }

    /// Removes all values. A value that is being computed reaches only the callers that wait for it already.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// Locks by key.
pub struct KeyedLocks<K>(Mutex<HashMap<K, Arc<Mutex<()>>>>);

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> KeyedLocks<K> {
    /// Runs work while no other caller runs work with the same key.
    pub fn with<T>(&self, key: &K, work: impl FnOnce() -> T) -> T {
        let own = lock(&self.0).entry(key.clone()).or_default().clone();
        let result = {
            let _held = lock(&own);
            work()
        };
        let mut locks = lock(&self.0);
        // Only the map and this function have the lock.
        if Arc::strong_count(&own) == 2 {
            locks.remove(key);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Maximum wait for a thread to start.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// While the value of one key is computed, the value of another can be read, and the map can be cleared.
    #[test]
    fn a_slow_key_holds_up_no_other() {
        let cells: KeyedCells<&str, u32> = KeyedCells::default();
        let (begun_send, begun) = mpsc::channel();
        let (release, wait) = mpsc::channel();
        thread::scope(|scope| {
            let cells = &cells;
            let slow = scope.spawn(move || {
                cells.get_or_try_init(&"slow", || {
                    begun_send.send(()).unwrap();
                    wait.recv_timeout(PATIENCE).unwrap();
                    Ok::<_, ()>(1)
                })
            });
            begun.recv_timeout(PATIENCE).unwrap();
            // This thread also ends the slow computation, so the test hangs if it waits here.
            assert_eq!(cells.get_or_try_init(&"quick", || Ok::<_, ()>(2)), Ok(2));
            cells.clear();
            // A value that is computed after the map was cleared is a new one.
            assert_eq!(cells.get_or_try_init(&"slow", || Ok::<_, ()>(3)), Ok(3));
            release.send(()).unwrap();
            assert_eq!(slow.join().unwrap(), Ok(1));
        });
        assert_eq!(cells.get_or_try_init(&"slow", || Err(())), Ok(3));
    }

    /// Callers with the same key share one computation. A failed computation is not kept.
    #[test]
    fn computes_once_a_key() {
        let cells: KeyedCells<u32, u32> = KeyedCells::default();
        let computed = AtomicU32::new(0);
        assert_eq!(cells.get_or_try_init(&1, || Err::<u32, _>("failed")), Err("failed"));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let value = cells.get_or_try_init(&1, || {
                        thread::yield_now();
                        Ok::<_, ()>(computed.fetch_add(1, Ordering::Relaxed))
                    });
                    assert_eq!(value, Ok(0));
                });
            }
        });
        assert_eq!(computed.into_inner(), 1);
    }

    /// Work with one key is exclusive, work with another key is not, and no lock stays behind.
    #[test]
    fn locks_by_key() {
        let locks: KeyedLocks<u32> = KeyedLocks::default();
        let inside = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    locks.with(&1, || {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert_eq!(locks.with(&1, || locks.with(&2, || 3)), 3);
        assert!(lock(&locks.0).is_empty());
    }
}
