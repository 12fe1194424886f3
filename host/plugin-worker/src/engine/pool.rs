//! The pool of memories. Every batch gets a new store, so creating one must be cheap. A worker has one store at a time.
//!
//! Cost of a fresh store for each batch, for a thousand of Berka's clients (2.1 ms of a core in a store that is kept),
//! medians of seven rounds, with two cores at work on other things as well:
//!
//! | stores | an empty batch | page faults a batch |
//! |---|---|---|
//! | one, kept for all batches | 3.4 µs | 0 |
//! | fresh, on demand (`mmap` and `munmap` for each) | 147 µs | 120 |
//! | fresh, pooled, nothing kept resident | 124 µs | 123 |
//! | fresh, pooled, 4 MiB kept resident and cleared | 227 µs | 0 |
//! | fresh, pooled, 4 MiB kept resident, only dirty pages cleared (`PAGEMAP_SCAN`, Linux 6.7) | 76 µs | 0 |
//!
//! The engine uses the last one if the kernel supports it, and the one before otherwise. A batch takes two to four percent
//! longer than in a store that is kept.

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Maximum number of core instances in a component. A Python guest has over a hundred.
const CORE_INSTANCES: u32 = 200;
/// Maximum number of memories in a component: its own, and those of adapters.
const MEMORIES: u32 = 4;
/// Maximum number of tables in a component.
const TABLES: u32 = 16;
/// Maximum number of elements in a table.
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes of a memory that stay resident between stores. A Rust guest touches 4 MiB for a full batch.
const RESIDENT_BYTES: usize = 4 << 20;
/// Bytes of a table that stay resident between stores.
const RESIDENT_TABLE_BYTES: usize = 64 << 10;

/// Returns the settings of the pool. A component that does not fit in it gets its memory on demand.
pub(crate) fn pooled() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(CORE_INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(MEMORIES)
        .max_memories_per_component(MEMORIES)
        .total_tables(TABLES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .total_gc_heaps(1)
        .total_stacks(1)
        // The limiter of a store sets the actual limit.
        .max_memory_size(1 << 32)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_TABLE_BYTES)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}
