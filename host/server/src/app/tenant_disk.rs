//! Bytes that tenants take on disk.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::cells::lock;
use sluice_model::Tenant;

/// Time for which a measurement is used again. Measuring reads the directories of all migrations of a tenant, and small
/// uploads may follow each other closely.
const MEASURED_TIME: Duration = Duration::from_secs(5);

/// The last measurement of each tenant: its time and the bytes.
#[derive(Default)]
pub struct TenantDisk(Mutex<HashMap<Tenant, (Instant, u64)>>);

impl TenantDisk {
    /// Returns the bytes that a tenant takes. Calls `measure` if the last measurement is too old.
    pub fn of_tenant<E>(&self, tenant: &Tenant, measure: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        if let Some((at, bytes)) = lock(&self.0).get(tenant)
            && at.elapsed() < MEASURED_TIME
        {
            return Ok(*bytes);
        }
        // Measuring takes a while, so the lock is not held.
        let bytes = measure()?;
        let mut all = lock(&self.0);
        all.retain(|_, (at, _)| at.elapsed() < MEASURED_TIME);
        all.insert(tenant.clone(), (Instant::now(), bytes));
        Ok(bytes)
    }
}
