//! Leases of the embedded target: imports run beside each other, and a removal of rows runs beside no import of its tenant.
//!
//! A record that was validated refers to rows that were in the target. An import beside a removal could store the record
//! after its referred row is gone. Imports and removals of tenants whose records cannot refer to each other's rows do not
//! wait for each other.

use std::sync::PoisonError;

use super::TargetError;
use super::embedded::{CANCEL_CHECK_INTERVAL, EmbeddedTarget, lock};
use super::tenants::TenantNumber;

/// Leases in use, each by its tenant.
#[derive(Default)]
pub(super) struct LeaseState {
    /// Imports that run.
    imports: Vec<TenantNumber>,
    /// Removals that run.
    removing: Vec<TenantNumber>,
    /// Removals that wait. No import of their tenants begins meanwhile, so that a removal has its turn.
    waiting: Vec<TenantNumber>,
}

/// Removes one lease of a tenant.
fn release(leases: &mut Vec<TenantNumber>, tenant: TenantNumber) {
    if let Some(place) = leases.iter().position(|held| *held == tenant) {
        leases.swap_remove(place);
    }
}

/// A right to import, or to remove rows. It ends when this value is dropped.
pub struct TargetLease<'a> {
    target: &'a EmbeddedTarget,
    tenant: TenantNumber,
    removes: bool,
}

impl Drop for TargetLease<'_> {
    fn drop(&mut self) {
        let mut leases = lock(&self.target.leases);
        let held = if self.removes { &mut leases.removing } else { &mut leases.imports };
        release(held, self.tenant);
        self.target.returned.notify_all();
    }
}

impl EmbeddedTarget {
    /// Waits until no removal runs of a tenant to whose rows the records may refer, and begins an import.
    pub(super) fn import_lease(
        &self,
        tenant: TenantNumber,
        lenders: &[TenantNumber],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<TargetLease<'_>, TargetError> {
        let concerns = |removal: &TenantNumber| *removal == tenant || lenders.contains(removal);
        self.lease(tenant, false, cancelled, |leases| {
            let free = !leases.removing.iter().chain(&leases.waiting).any(concerns);
            leases.imports.extend(free.then_some(tenant));
            free
        })
    }

    /// Waits until no import runs of a tenant whose records may refer to the rows, and no other removal of the tenant. Then
    /// begins a removal.
    pub(super) fn removal_lease(
        &self,
        tenant: TenantNumber,
        borrowers: &[TenantNumber],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<TargetLease<'_>, TargetError> {
        let concerns = |import: &TenantNumber| *import == tenant || borrowers.contains(import);
        self.lease(tenant, true, cancelled, |leases| {
            let free = !leases.removing.contains(&tenant) && !leases.imports.iter().any(concerns);
            leases.removing.extend(free.then_some(tenant));
            free
        })
    }

    fn lease(
        &self,
        tenant: TenantNumber,
        removes: bool,
        cancelled: &dyn Fn() -> bool,
        take: impl Fn(&mut LeaseState) -> bool,
    ) -> Result<TargetLease<'_>, TargetError> {
        let mut leases = lock(&self.leases);
        leases.waiting.extend(removes.then_some(tenant));
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
        if removes {
            release(&mut leases.waiting, tenant);
        }
        drop(leases);
        self.returned.notify_all();
        if taken { Ok(TargetLease { target: self, tenant, removes }) } else { Err(TargetError::Cancelled) }
    }
}
