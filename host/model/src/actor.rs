//! Who acts, and what they may do.

use serde::{Deserialize, Serialize};

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// An API client, by its id.
    Client(String),
    /// Whoever has the data directory: the `sluice` command beside the server.
    Operator,
    /// The server itself.
    Server,
    /// Somebody who did not say who they are, or could not prove it.
    Unknown,
}

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Observes everything, changes nothing.
    Read,
    /// Registers, loads, validates, imports and purges; reads as well.
    Migrate,
    /// Approves plugins; reads as well.
    Approve,
    /// Runs the server: its metrics and its audit trail.
    Admin,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 4] = [Permission::Read, Permission::Migrate, Permission::Approve, Permission::Admin];

    /// As it is given and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::Migrate => "migrate",
            Permission::Approve => "approve",
            Permission::Admin => "admin",
        }
    }

    /// The permission with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name)
    }

    /// Whether having this one is enough where `asked` is asked for.
    pub fn covers(self, asked: Permission) -> bool {
        self == asked || (asked == Permission::Read && matches!(self, Permission::Migrate | Permission::Approve))
    }
}
