//! Limits of a store's memories and tables.

use wasmtime::{ResourceLimiter, Result};

use sluice_config::PluginLimits;

/// Remaining growth of a store's memories and tables.
pub(crate) struct StoreLimits {
    memory: ResourceBudget,
    table_elements: ResourceBudget,
    /// True once a growth was denied.
    pub denied: bool,
}

/// A budget for all memories or all tables of a store. A component may have thousands of memories.
struct ResourceBudget {
    left: usize,
    taken: usize,
}

impl ResourceBudget {
    fn new(left: usize) -> Self {
        Self { left, taken: 0 }
    }

    /// Takes the growth from `current` to `desired` off the budget. Returns false if it exceeds the budget.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current);
        let Some(left) = self.left.checked_sub(more) else { return false };
        (self.left, self.taken) = (left, self.taken + more);
        true
    }
}

impl StoreLimits {
    /// Returns the limits of a new store.
    pub fn new(limits: &PluginLimits) -> Self {
        let memory = ResourceBudget::new(limits.memory_bytes);
        Self { memory, table_elements: ResourceBudget::new(limits.table_elements), denied: false }
    }

    /// Returns the memory that the store has taken, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.taken as u64
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let granted = self.memory.grow(current, desired);
        self.denied |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let granted = self.table_elements.grow(current, desired);
        self.denied |= !granted;
        Ok(granted)
    }
}
