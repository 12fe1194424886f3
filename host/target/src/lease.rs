//! Leases of the embedded target: imports run beside each other, and a removal of rows runs alone.
//!
//! A record that was validated refers to rows that were in the target. An import beside a removal could store the record
//! after its referred row is gone.

use std::sync::PoisonError;

use super::TargetError;
use super::embedded::{CANCEL_CHECK_INTERVAL, EmbeddedTarget, lock};

/// Leases in use.
#[derive(Default)]
pub(super) struct LeaseState {
    /// Number of imports.
    imports: usize,
    /// True while rows are removed.
    removing: bool,
    /// Number of removals that wait. No import begins meanwhile, so that a removal has its turn.
    waiting: usize,
}

/// A right to import, or to remove rows. It ends when this value is dropped.
pub struct TargetLease<'a> {
    target: &'a EmbeddedTarget,
    removes: bool,
}

impl Drop for TargetLease<'_> {
    fn drop(&mut self) {
        let mut leases = lock(&self.target.leases);
        if self.removes {
            leases.removing = false;
        } else {
            leases.imports -= 1;
        }
        self.target.returned.notify_all();
    }
}

impl EmbeddedTarget {
    /// Waits until no removal runs, and begins an import.
    pub(super) fn import_lease(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.lease(false, cancelled, |leases| {
            let free = !leases.removing && leases.waiting == 0;
            leases.imports += usize::from(free);
            free
        })
    }

    /// Waits until neither an import nor a removal runs, and begins a removal.
    pub(super) fn removal_lease(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.lease(true, cancelled, |leases| {
            let free = !leases.removing && leases.imports == 0;
            leases.removing |= free;
            free
        })
    }

    fn lease(
        &self,
        removes: bool,
        cancelled: &dyn Fn() -> bool,
        take: impl Fn(&mut LeaseState) -> bool,
    ) -> Result<TargetLease<'_>, TargetError> {
        let mut leases = lock(&self.leases);
        leases.waiting += usize::from(removes);
        let taken = loop {
            if take(&mut leases) {
                break true;
            }
            if cancelled() {
                break false;
            }
            let waited = self.returned.wait_timeout(leases, CANCEL_CHECK_INTERVAL);
            leases = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        leases.waiting -= usize::from(removes);
        drop(leases);
        self.returned.notify_all();
        if taken { Ok(TargetLease { target: self, removes }) } else { Err(TargetError::Cancelled) }
    }
}
