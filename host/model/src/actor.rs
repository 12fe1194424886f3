//! Actors and their permissions.

use serde::{Deserialize, Serialize};

/// An actor: the author of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// An API client, by its id.
    Client(String),
    /// The operator, who has access to the data directory and runs the `sluice` command beside the server.
    Operator,
    /// The server itself.
    Server,
    /// A caller without valid credentials.
    Unknown,
}

/// A permission of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Permission to read counts, logs, issues, the trail and evidence, and no record.
    Audit,
    /// Permission to observe everything, records included, and change nothing. Includes `Audit`.
    Read,
    /// Permission to register, load, validate, import and purge. Includes `Read`.
    Migrate,
    /// Permission to approve plugins. Includes `Read`.
    Approve,
    /// Permission to run the server: its metrics and its audit trail.
    Admin,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 5] =
        [Permission::Audit, Permission::Read, Permission::Migrate, Permission::Approve, Permission::Admin];

    /// Returns the permission's name, as clients and the catalog write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Audit => "audit",
            Permission::Read => "read",
            Permission::Migrate => "migrate",
            Permission::Approve => "approve",
            Permission::Admin => "admin",
        }
    }

    /// Returns the permission with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name)
    }

    /// Returns true if this permission is sufficient where `required` is required.
    pub fn covers(self, required: Permission) -> bool {
        match required {
            Permission::Audit => self != Permission::Admin,
            Permission::Read => matches!(self, Permission::Read | Permission::Migrate | Permission::Approve),
            _ => self == required,
        }
    }
}
