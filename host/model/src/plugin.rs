//! Registered plugins, their approvals and the keys that sign them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Digest, Name, Tenant, Version};

/// A world of the plugin contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// A mapper of a customer.
    Mapper,
    /// A plugin of the platform for one domain.
    Domain,
}

impl World {
    /// Returns the name that the catalog stores and the API shows.
    pub fn as_str(self) -> &'static str {
        match self {
            World::Mapper => "mapper",
            World::Domain => "domain",
        }
    }

    /// Returns the world with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        [World::Mapper, World::Domain].into_iter().find(|world| world.as_str() == name)
    }
}

/// The origin of a plugin on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginOrigin {
    /// A binary that the operator started on this data directory embeds the plugin.
    Embedded,
    /// The operator named the plugin's file when starting the server.
    Operator,
    /// A client pushed the plugin.
    Pushed,
}

impl PluginOrigin {
    /// Returns the name that the catalog stores and the API shows.
    pub fn as_str(self) -> &'static str {
        match self {
            PluginOrigin::Embedded => "embedded",
            PluginOrigin::Operator => "operator",
            PluginOrigin::Pushed => "pushed",
        }
    }

    /// Returns the origin with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        [PluginOrigin::Embedded, PluginOrigin::Operator, PluginOrigin::Pushed]
            .into_iter()
            .find(|origin| origin.as_str() == name)
    }
}

/// A plugin in the registry of this server.
#[derive(Clone, Debug)]
pub struct RegisteredPlugin {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Tenant that owns the plugin. `None` if every tenant may use it.
    pub tenant: Option<Tenant>,
    /// World that the plugin implements.
    pub world: World,
    /// Name of the plugin.
    pub name: Name,
    /// Version of the plugin.
    pub version: Version,
    /// Domain of a domain plugin.
    pub domain: Option<Name>,
    /// Origin of the plugin.
    pub origin: PluginOrigin,
    /// Client that pushed the plugin.
    pub client: Option<String>,
    /// Time of registration.
    pub pushed_at: Timestamp,
    /// Public key that verifies the plugin's signature.
    pub signed_by: Option<[u8; 32]>,
    /// Result of the plugin's inspection, as JSON.
    pub inspection: String,
}

/// Limits that an approval sets instead of the server's limits, by their names in the configuration.
pub type LimitOverrides = BTreeMap<String, u64>;

/// An approval: a client's statement that a plugin may take part in imports.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Digest of the approved plugin.
    pub digest: Digest,
    /// Tenant that the approval is for. `None` is every tenant.
    pub tenant: Option<Tenant>,
    /// Id of the approving client, or `server` for plugins that the operator started the server with.
    pub client: String,
    /// Time of the approval.
    pub at: Timestamp,
    /// Limits of the plugin under this approval.
    pub limits: LimitOverrides,
    /// Time of revocation.
    pub revoked_at: Option<Timestamp>,
    /// Id of the revoking client.
    pub revoked_by: Option<String>,
}

/// A public key of a customer. Its private key signs the customer's plugins.
#[derive(Clone, Debug)]
pub struct PluginKey {
    /// Tenant that owns the key.
    pub tenant: Tenant,
    /// The key, Ed25519.
    pub key: [u8; 32],
    /// Id of the client that added the key.
    pub client: String,
    /// Time at which the key was added.
    pub added_at: Timestamp,
    /// Time from which the server refuses signatures of the key.
    pub revoked_at: Option<Timestamp>,
}

/// A reference to the mapper of a migration. The digest identifies it; other mappers may have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapperRef {
    /// Digest of the mapper.
    pub digest: Digest,
    /// Name of the mapper.
    pub name: Name,
}
