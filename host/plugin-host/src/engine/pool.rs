//! Where stores come from: every batch has a new one, so making one has to be cheap, and there are only so many.
//!
//! What a fresh store for each batch costs, for a thousand of Berka's clients (2.1 ms of a core in a store that is
//! kept), medians of seven rounds side by side, two cores at work on other things as well:
//!
//! | stores | an empty batch | page faults a batch |
//! |---|---|---|
//! | one, kept for all batches | 3.4 µs | 0 |
//! | fresh, on demand (`mmap` and `munmap` for each) | 147 µs | 120 |
//! | fresh, pooled, nothing kept resident | 124 µs | 123 |
//! | fresh, pooled, 4 MiB kept resident and cleared | 227 µs | 0 |
//! | fresh, pooled, 4 MiB kept resident, only dirty pages cleared (`PAGEMAP_SCAN`, Linux 6.7) | 76 µs | 0 |
//!
//! So it is the last, where the kernel can, and the one before where it cannot: two to four parts in a hundred.

use std::sync::{Condvar, Mutex, PoisonError};

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Stores at once, of all plugins together; who wants another waits. 64: far more than there are cores, and together
/// they have at most 64 times `memory_bytes`.
const STORES: usize = 64;
/// Core instances of a component: a Python guest has over a hundred.
const CORE_INSTANCES: u32 = 200;
/// Memories of a component: its own, and those of adapters.
const MEMORIES: u32 = 4;
/// Tables of a component.
const TABLES: u32 = 16;
/// Elements of a table.
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes of a memory that are kept resident between stores. 4 MiB: what a Rust guest touches for a full batch.
const RESIDENT_BYTES: usize = 4 << 20;
/// Bytes of a table that are.
const RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// Memories that nobody uses and that are kept resident all the same: as many plugins work side by side at most.
const WARM: u32 = 16;

/// The pool's settings. A component that does not fit in it gets its memory on demand.
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
        // What a store may have of it is what its limiter says.
        .max_memory_size(1 << 32)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_TABLE_BYTES)
        .max_unused_warm_slots(WARM)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Room for so many stores.
pub(super) struct Rooms {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Room for one store, until it is dropped.
pub(super) struct Room<'a>(&'a Rooms);

impl Default for Rooms {
    fn default() -> Self {
        Self { free: Mutex::new(STORES), freed: Condvar::new() }
    }
}

impl Rooms {
    /// Waits until there is room. Whoever has room waits for nobody else's, so it is never long.
    pub fn take(&self) -> Room<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Room(self)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
