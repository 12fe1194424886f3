//! A registered migration.

use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::{Domain, MapperRef, MigrationStatus, Name, Tenant};

/// The owner of a migration: a tenant, or one of its labels.
#[derive(Clone, Debug)]
pub struct MigrationOwner {
    /// Tenant that owns the migration.
    pub tenant: Tenant,
    /// Label of the tenant.
    pub label: Option<Uuid>,
}

impl From<Tenant> for MigrationOwner {
    fn from(tenant: Tenant) -> Self {
        Self { tenant, label: None }
    }
}

/// A registered migration from an old system to the platform.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Id of the migration, and the namespace of every reference id that is derived in it.
    pub reference_id: Uuid,
    /// Tenant that owns the migration. Other tenants cannot see it.
    pub tenant: Tenant,
    /// Label of the tenant that the migration belongs to. Clients of another label cannot see it.
    pub label: Option<Uuid>,
    /// Domains that the migration covers.
    pub components: Vec<&'static Domain>,
    /// Mapper of the source tables, if the migration has one.
    pub mapper: Option<MapperRef>,
    /// Target platform, by its name in the configuration. `None` is the embedded platform.
    pub target: Option<Name>,
    /// Time of registration. Plugins receive it as the current time.
    pub registered_at: Timestamp,
    /// Status of the migration.
    pub status: MigrationStatus,
    /// Time at which the records were erased.
    pub purged_at: Option<Timestamp>,
}

impl Migration {
    /// Returns the day of registration, in UTC.
    pub fn registered_on(&self) -> jiff::civil::Date {
        self.registered_at.to_zoned(TimeZone::UTC).date()
    }

    /// Returns true if the migration covers the domain with this name.
    pub fn covers(&self, component: &str) -> bool {
        self.components.iter().any(|domain| domain.component == component)
    }
}
