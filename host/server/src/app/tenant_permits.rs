//! Permits for work of a tenant, so that no tenant takes the whole server.

use std::sync::{Arc, Mutex};

use hashbrown::HashMap;

use super::cells::lock;
use sluice_config::TenantLimits;
use sluice_model::{Message, Tenant, message};

/// A kind of work that takes memory and threads of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TenantWork {
    /// An upload of records.
    Upload,
    /// A job.
    Job,
    /// A push of a plugin.
    Push,
}

/// Reason why a tenant may not begin more work.
#[derive(Debug, thiserror::Error)]
#[error("a tenant has reached {limit}")]
pub struct TenantQuota {
    /// Name of the limit in the configuration.
    pub limit: &'static str,
    /// Value of the limit.
    pub most: usize,
}

impl TenantQuota {
    /// Returns the sentence for a client.
    pub fn detail(&self) -> Message {
        message!(
            "The tenant does this {} times at once already, which is its maximum (`{}`). Wait until one of them ends, and \
             try again.",
            self.most,
            self.limit
        )
    }
}

/// Work of all tenants.
pub struct TenantPermits {
    limits: TenantLimits,
    running: Mutex<HashMap<(Tenant, TenantWork), usize>>,
}

/// Permission for one piece of work, until it is dropped. The work keeps it, so it outlives a client that disconnects.
pub struct TenantPermit {
    permits: Arc<TenantPermits>,
    key: (Tenant, TenantWork),
}

impl TenantPermits {
    /// Returns permits with these limits.
    pub fn new(limits: TenantLimits) -> Arc<Self> {
        Arc::new(Self { limits, running: Mutex::default() })
    }

    /// Returns a permit.
    ///
    /// # Errors
    ///
    /// Fails if the tenant has as many of them as its limit allows.
    pub fn begin(self: &Arc<Self>, tenant: &Tenant, work: TenantWork) -> Result<TenantPermit, TenantQuota> {
        let (limit, most) = match work {
            TenantWork::Upload => ("tenant.uploads", self.limits.uploads),
            TenantWork::Job => ("tenant.jobs", self.limits.jobs),
            TenantWork::Push => ("tenant.pushes", self.limits.pushes),
        };
        let key = (tenant.clone(), work);
        let mut running = lock(&self.running);
        let own = running.entry(key.clone()).or_default();
        if *own >= most {
            return Err(TenantQuota { limit, most });
        }
        *own += 1;
        drop(running);
        Ok(TenantPermit { permits: self.clone(), key })
    }
}

impl Drop for TenantPermit {
    fn drop(&mut self) {
        let mut running = lock(&self.permits.running);
        if let Some(own) = running.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                running.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_own_number_of_each_work() {
        let permits = TenantPermits::new(TenantLimits { uploads: 2, jobs: 1, ..TenantLimits::default() });
        let [north, south] = ["north", "south"].map(|name| name.parse::<Tenant>().unwrap());
        let begin = |tenant, work| permits.begin(tenant, work);
        let held: Vec<TenantPermit> = (0..2).map(|_| begin(&north, TenantWork::Upload).unwrap()).collect();
        let refused = begin(&north, TenantWork::Upload).map(drop).unwrap_err();
        assert_eq!((refused.limit, refused.most), ("tenant.uploads", 2));
        assert!(begin(&south, TenantWork::Upload).is_ok() && begin(&north, TenantWork::Job).is_ok());
        drop(held);
        assert!(begin(&north, TenantWork::Upload).is_ok());
        assert!(lock(&permits.running).is_empty());
    }
}
