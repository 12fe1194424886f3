//! Grants: the permissions, tenant and domains of a client.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DOMAINS, Domain, Job, Migration, Permission};

/// Maximum length of a tenant's name in bytes.
const MAX_TENANT_BYTES: usize = 63;

/// The name of a tenant. A tenant is a customer of the platform. Other tenants cannot see its migrations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

/// An error: the text is not a tenant's name.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "a tenant's name is made of lower-case letters, digits and -, begins with a letter or digit, and has at most 63 \
     characters"
)]
pub struct InvalidTenantName;

impl Tenant {
    /// Returns the tenant `default`, which a server with one tenant uses.
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// Returns the tenant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tenant {
    type Error = InvalidTenantName;

    fn try_from(name: String) -> Result<Self, InvalidTenantName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=MAX_TENANT_BYTES).contains(&name.len())
            && name.bytes().all(|byte| plain(byte) || byte == b'-')
            && name.bytes().next().is_some_and(plain);
        if fits { Ok(Self(name)) } else { Err(InvalidTenantName) }
    }
}

impl std::str::FromStr for Tenant {
    type Err = InvalidTenantName;

    fn from_str(name: &str) -> Result<Self, InvalidTenantName> {
        name.to_owned().try_into()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

/// A grant: the actions that a client may perform, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Id of the client.
    pub client: String,
    /// Tenant whose migrations the client may access. `None` grants access to every tenant.
    pub tenant: Option<Tenant>,
    /// Label whose migrations the client may access. `None` grants access to all migrations of the tenant.
    pub label: Option<Uuid>,
    /// Permissions of the client.
    pub permissions: Vec<Permission>,
    /// Domains of those migrations that the client may access.
    pub domains: Vec<&'static Domain>,
    /// End of the token that carries the grant.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// Returns true if one of the permissions covers this one.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.iter().any(|given| given.covers(permission))
    }

    /// Returns true if the client may see this tenant's migrations.
    pub fn sees(&self, tenant: &Tenant) -> bool {
        self.tenant.as_ref().is_none_or(|own| own == tenant)
    }

    /// Returns true if the client may see this migration at least in part, as far as tenant and label decide it.
    pub fn sees_migration(&self, migration: &Migration) -> bool {
        self.sees(&migration.tenant) && self.label.is_none_or(|own| migration.label == Some(own))
    }

    /// Returns the domains to which the grant restricts work on a migration. `None` is no restriction.
    pub fn restricted_to(&self, migration: &Migration) -> Option<Vec<&'static Domain>> {
        let granted = || migration.components.iter().copied().filter(|domain| self.holds(domain)).collect();
        (!self.holds_all(migration)).then(granted)
    }

    /// Returns true if the client may see a job of this migration. A job of the whole migration needs all domains.
    pub fn sees_job(&self, migration: &Migration, job: &Job) -> bool {
        let domains = job.domains.as_ref().unwrap_or(&migration.components);
        domains.iter().all(|domain| self.holds(domain))
    }

    /// Returns true if the grant includes the domain.
    pub fn holds(&self, domain: &Domain) -> bool {
        self.domains.contains(&domain)
    }

    /// Returns true if the grant includes every domain of the migration.
    pub fn holds_all(&self, migration: &Migration) -> bool {
        migration.components.iter().all(|domain| self.holds(domain))
    }

    /// Returns every domain.
    pub fn all_domains() -> Vec<&'static Domain> {
        DOMAINS.iter().collect()
    }
}
