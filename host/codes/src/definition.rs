//! The definition of a code.

use serde::{Deserialize, Serialize};

/// A definition of a code. Its sentences are true without any value of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodeDefinition {
    /// The code, in capitals.
    pub code: String,
    /// Places where the code stands.
    pub places: Vec<CodePlace>,
    /// HTTP statuses of the problems with this code; none for codes of other places.
    pub status: Vec<u16>,
    /// Parties that can solve the problem; none if the client can.
    pub blame: Vec<ResponsibleParty>,
    /// One sentence about what happened or what is wrong.
    pub meaning: String,
    /// Likely cause in a migration.
    pub cause: String,
    /// Command, setting or request that helps.
    pub remedy: String,
    /// A short example with invented data, of one or more lines.
    pub example: String,
}

/// A place where a code stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodePlace {
    /// The problem document of a failed request.
    Problem,
    /// The problem in the result of a failed job.
    Job,
    /// The problem in the last line of an upload that ended early.
    Upload,
    /// Result lines, issues and counts of sources.
    Record,
    /// The list of records that broke a plugin.
    Quarantine,
    /// The ledger of calls to a platform, or the detail of `PLATFORM_UNREACHABLE`.
    Call,
    /// The log of a migration.
    Log,
    /// The log of the server, on standard error.
    ServerLog,
}

impl CodePlace {
    /// Returns a description of the place, for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Problem => "problem of a failed request",
            Self::Upload => "last line of an upload",
            Self::Job => "result of a failed job",
            Self::Record => "result lines and issues",
            Self::Quarantine => "quarantine",
            Self::Call => "ledger of calls, or detail of PLATFORM_UNREACHABLE",
            Self::Log => "log of a migration",
            Self::ServerLog => "log of the server",
        }
    }
}

/// A party that can solve a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponsibleParty {
    /// The customer, who corrects the record.
    Record,
    /// The author of the plugin.
    Plugin,
    /// The operator of the server.
    Host,
    /// The operator of the platform.
    Target,
}

impl ResponsibleParty {
    /// Returns a description of the party, for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Record => "the customer, who corrects the record",
            Self::Plugin => "the author of the plugin",
            Self::Host => "the operator of the server",
            Self::Target => "the operator of the platform",
        }
    }
}
