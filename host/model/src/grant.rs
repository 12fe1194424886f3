//! What a client was granted: permissions, a tenant, domains.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DOMAINS, Domain, Migration, Permission};

/// Longest name of a tenant.
const MAX_TENANT_BYTES: usize = 63;

/// The name of a tenant: a customer of the platform, whose migrations no other sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

/// Why a name is no tenant's.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "a tenant's name is made of lower-case letters, digits and -, begins with a letter or digit, and has at most 63"
)]
pub struct NoTenant;

impl Tenant {
    /// The tenant of a server that has only one.
    pub fn only() -> Self {
        Self("default".into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tenant {
    type Error = NoTenant;

    fn try_from(name: String) -> Result<Self, NoTenant> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=MAX_TENANT_BYTES).contains(&name.len())
            && name.bytes().all(|byte| plain(byte) || byte == b'-')
            && name.bytes().next().is_some_and(plain);
        if fits { Ok(Self(name)) } else { Err(NoTenant) }
    }
}

impl std::str::FromStr for Tenant {
    type Err = NoTenant;

    fn from_str(name: &str) -> Result<Self, NoTenant> {
        name.to_owned().try_into()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

/// What somebody may do, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The client's id.
    pub client: String,
    /// Whose migrations; none stands for every tenant's.
    pub tenant: Option<Tenant>,
    /// What.
    pub permissions: Vec<Permission>,
    /// Which domains of them.
    pub domains: Vec<&'static Domain>,
    /// When the token ends that it came with.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// Whether this may be done at all.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.iter().any(|given| given.covers(permission))
    }

    /// Whether this tenant's migrations are seen.
    pub fn sees(&self, tenant: &Tenant) -> bool {
        self.tenant.as_ref().is_none_or(|own| own == tenant)
    }

    /// Whether a domain was granted.
    pub fn holds(&self, domain: &Domain) -> bool {
        self.domains.contains(&domain)
    }

    /// Whether all that a migration covers was granted.
    pub fn holds_all(&self, migration: &Migration) -> bool {
        migration.components.iter().all(|domain| self.holds(domain))
    }

    /// Every domain.
    pub fn every_domain() -> Vec<&'static Domain> {
        DOMAINS.iter().collect()
    }
}
