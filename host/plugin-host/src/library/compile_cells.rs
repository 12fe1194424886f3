//! Once-cells by key, for values that take long to create.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

/// A value that is created once. Its lock is held while it is created.
type Cell<T> = Arc<Mutex<Option<T>>>;

/// Values by key. Each is created when it is first needed. Only callers of the same key wait for its creation.
pub(crate) struct CompileCells<K, T> {
    cells: Mutex<HashMap<K, Cell<T>>>,
}

impl<K, T> Default for CompileCells<K, T> {
    fn default() -> Self {
        Self { cells: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, T: Clone> CompileCells<K, T> {
    /// Returns the value of a key. Creates it by `create` if it does not exist. After an error or a panic of `create`
    /// the next caller tries again.
    pub fn get_or_create<E>(&self, key: &K, create: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        // A panic while a lock is held leaves the map or the cell as it was.
        let cell = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            cells.entry(key.clone()).or_default().clone()
        };
        let mut value = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        let created = create()?;
        *value = Some(created.clone());
        Ok(created)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use sluice_model::Digest;

    /// While one thread creates a value, another digest is served, and a second caller of the same digest gets the value
    /// of the first.
    #[test]
    fn a_slow_digest_holds_up_its_own_callers_only() {
        let (cells, created) = (&CompileCells::<Digest, u32>::default(), &AtomicUsize::new(0));
        let [slow, quick] = [b"slow", b"fast"].map(|name| Digest::of(name));
        let (started, starts) = channel();
        let (release, released) = channel::<()>();
        thread::scope(|scope| {
            let first = scope.spawn(move || {
                cells.get_or_create(&slow, || {
                    created.fetch_add(1, Ordering::SeqCst);
                    started.send(()).unwrap();
                    released.recv().unwrap();
                    Ok::<_, ()>(1)
                })
            });
            starts.recv().unwrap();
            assert_eq!(cells.get_or_create(&quick, || Ok::<_, ()>(2)), Ok(2));
            let second = scope.spawn(|| {
                cells.get_or_create(&slow, || {
                    created.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, ()>(3)
                })
            });
            release.send(()).unwrap();
            assert_eq!((first.join().unwrap(), second.join().unwrap()), (Ok(1), Ok(1)));
        });
        assert_eq!(created.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_creation_is_tried_again() {
        let (cells, digest) = (CompileCells::<Digest, u32>::default(), Digest::of(b"a"));
        assert_eq!(cells.get_or_create(&digest, || Err("damaged")), Err("damaged"));
        let panicked = thread::scope(|scope| {
            scope.spawn(|| cells.get_or_create(&digest, || -> Result<u32, ()> { panic!("as it is meant to") })).join()
        });
        assert!(panicked.is_err());
        assert_eq!(cells.get_or_create(&digest, || Ok::<_, ()>(1)), Ok(1));
        assert_eq!(cells.get_or_create(&digest, || Ok::<_, ()>(2)), Ok(1));
    }
}
