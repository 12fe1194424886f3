//! A semaphore that limits the number of stores.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::engine::pool::STORES;

/// A semaphore with one permit for each store of the pool.
pub(crate) struct StoreSemaphore {
    free: Mutex<usize>,
    released: Condvar,
}

/// Permission to use one store, until it is dropped.
pub(crate) struct StorePermit<'a>(&'a StoreSemaphore);

impl Default for StoreSemaphore {
    fn default() -> Self {
        Self { free: Mutex::new(STORES), released: Condvar::new() }
    }
}

impl StoreSemaphore {
    /// Waits for a permit. The holder of a permit never waits for another one, so the wait is short.
    pub fn acquire(&self) -> StorePermit<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.released.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        StorePermit(self)
    }
}

impl Drop for StorePermit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.released.notify_one();
    }
}
