//! A pool of memory for stores, and a limit of their number. Each batch gets a new store, so a store must be cheap to
//! make.
//!
//! Cost of a new store for each batch: medians of seven interleaved rounds with batches of a thousand of Berka's
//! clients, on two cores with other load. Such a batch takes 2.1 ms of a core in a store that is kept.
//!
//! | stores | an empty batch | page faults a batch |
//! |---|---|---|
//! | one, kept for all batches | 3.4 µs | 0 |
//! | fresh, on demand (`mmap` and `munmap` for each) | 147 µs | 120 |
//! | fresh, pooled, nothing kept resident | 124 µs | 123 |
//! | fresh, pooled, 4 MiB kept resident and cleared | 227 µs | 0 |
//! | fresh, pooled, 4 MiB kept resident, only dirty pages cleared (`PAGEMAP_SCAN`, Linux 6.7) | 76 µs | 0 |
//!
//! The pool uses the last row if the kernel supports it, otherwise the row before: 2 to 4 percent of the batch's time.

use std::sync::{Condvar, Mutex, PoisonError};

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Maximum number of stores at a time, of all plugins together. A caller that needs another store waits. 64 is far more
/// than the number of cores. Together the stores have at most 64 times `memory_bytes`.
const STORES: usize = 64;
/// Maximum number of core instances of a component. A Python guest has over a hundred.
const CORE_INSTANCES: u32 = 200;
/// Maximum number of memories of a component: its own and those of adapters.
const MEMORIES: u32 = 4;
/// Maximum number of tables of a component.
const TABLES: u32 = 16;
/// Maximum number of elements of a table.
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes of a memory that stay resident between stores. A Rust guest touches 4 MiB for a full batch.
const RESIDENT_BYTES: usize = 4 << 20;
/// Bytes of a table that stay resident between stores.
const RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// Number of unused memories that stay resident. At most as many plugins work at the same time.
const WARM: u32 = 16;

/// Returns the settings of the pool. A component that does not fit the pool gets its memory on demand.
pub(super) fn pooled() -> InstanceAllocationStrategy {
    let stores = STORES as u32;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(stores)
        .total_core_instances(stores * CORE_INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(stores * MEMORIES)
        .max_memories_per_component(MEMORIES)
        .total_tables(stores * TABLES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .total_gc_heaps(stores)
        // The limiter of each store sets the real limit.
        .max_memory_size(1 << 32)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_TABLE_BYTES)
        .max_unused_warm_slots(WARM)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// A counting semaphore of places for stores.
pub(super) struct Semaphore {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place for one store. Dropping it frees the place.
pub(super) struct Permit<'a>(&'a Semaphore);

impl Default for Semaphore {
    fn default() -> Self {
        Self { free: Mutex::new(STORES), freed: Condvar::new() }
    }
}

impl Semaphore {
    /// Waits for a free place and takes it. A holder of a place never waits for another place, so the wait is short.
    pub fn acquire(&self) -> Permit<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
