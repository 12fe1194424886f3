//! A registered migration.

use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::{ChosenMapper, Domain, Name, Status, Tenant};

/// One registered move from an old system to the platform.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its id, and the namespace of every reference id derived in it.
    pub reference_id: Uuid,
    /// Whose it is: no other tenant sees it.
    pub tenant: Tenant,
    /// The domains it covers.
    pub components: Vec<&'static Domain>,
    /// The mapper for its source tables, if it has one.
    pub mapper: Option<ChosenMapper>,
    /// The platform that it goes to, by its name in the configuration; none: the embedded one.
    pub target: Option<Name>,
    /// When it was registered: what a plugin takes for now.
    pub registered_at: Timestamp,
    /// How far it has come.
    pub status: Status,
    /// When its records were erased, if they were.
    pub purged_at: Option<Timestamp>,
}

impl Migration {
    /// The day of registration, in UTC.
    pub fn registered_on(&self) -> jiff::civil::Date {
        self.registered_at.to_zoned(TimeZone::UTC).date()
    }

    /// Whether it covers this domain.
    pub fn covers(&self, component: &str) -> bool {
        self.components.iter().any(|domain| domain.component == component)
    }
}
