//! A plugin as the catalogue knows it, and who approved it for whom.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Digest, Name, Tenant, Version};

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// A customer's mapper.
    Mapper,
    /// The platform's plugin for one domain.
    Domain,
}

impl World {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            World::Mapper => "mapper",
            World::Domain => "domain",
        }
    }

    /// The world with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [World::Mapper, World::Domain].into_iter().find(|world| world.as_str() == name)
    }
}

/// How a plugin came to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It is part of a binary that was started on this data directory.
    Embedded,
    /// The operator named its file when the server was started.
    Operator,
    /// A client pushed it.
    Pushed,
}

impl Origin {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Embedded => "embedded",
            Origin::Operator => "operator",
            Origin::Pushed => "pushed",
        }
    }

    /// The origin with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Origin::Embedded, Origin::Operator, Origin::Pushed].into_iter().find(|origin| origin.as_str() == name)
    }
}

/// A plugin that this server keeps.
#[derive(Clone, Debug)]
pub struct KeptPlugin {
    /// SHA-256 of its component.
    pub digest: Digest,
    /// Whose it is; none where every tenant may use it.
    pub tenant: Option<Tenant>,
    /// What it is made for.
    pub world: World,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// The domain that a domain plugin is for.
    pub domain: Option<Name>,
    /// How it came here.
    pub origin: Origin,
    /// The client that pushed it.
    pub client: Option<String>,
    /// When it came.
    pub pushed_at: Timestamp,
    /// The key that it was signed with.
    pub signed_by: Option<[u8; 32]>,
    /// What its inspection found, as JSON.
    pub inspection: String,
}

/// Limits that an approval sets in place of the server's own, by their names in the configuration.
pub type LimitOverrides = BTreeMap<String, u64>;

/// Somebody's word that a plugin may take part in imports.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Of the plugin with this digest, and of no other.
    pub digest: Digest,
    /// For this tenant; none: for every one.
    pub tenant: Option<Tenant>,
    /// Who: a client's id, or `server` for what the operator started the server with.
    pub client: String,
    /// When.
    pub at: Timestamp,
    /// Under these limits.
    pub limits: LimitOverrides,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// By whom.
    pub revoked_by: Option<String>,
}

/// A key that a customer signs its plugins with.
#[derive(Clone, Debug)]
pub struct PluginKey {
    /// Whose.
    pub tenant: Tenant,
    /// The public key, Ed25519.
    pub key: [u8; 32],
    /// The client that added it.
    pub client: String,
    /// When.
    pub added_at: Timestamp,
    /// Since when its signatures are not taken.
    pub revoked_at: Option<Timestamp>,
}

/// The mapper of a migration: this digest and no other of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenMapper {
    /// Its digest.
    pub digest: Digest,
    /// Its name.
    pub name: Name,
}
