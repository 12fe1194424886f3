//! Issues of records, log levels, and responsibility for failures.

use serde::{Deserialize, Serialize};

use super::{Code, FieldPath};

/// The severity of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An error, which stops the record.
    Error,
    /// A warning, which does not stop the record.
    Warning,
}

impl Severity {
    /// Returns the name that the catalog stores and the API shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// The severity of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A detail for debugging.
    Debug,
    /// An expected event.
    Info,
    /// An event that deserves attention.
    Warning,
    /// An event that stops work.
    Error,
}

impl Level {
    /// Returns the name that the catalog stores and the API shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// Returns the level with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        [Level::Debug, Level::Info, Level::Warning, Level::Error].into_iter().find(|level| level.as_str() == name)
    }
}

/// An issue of one record. It holds codes and a path, never a value of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Severity of the issue.
    pub severity: Severity,
    /// Code of the issue.
    pub code: Code,
    /// Field that the issue is about.
    pub field: FieldPath,
    /// Code of the violated rule if `code` is `RULE_VIOLATION`.
    pub rule: Option<Code>,
    /// Line of the first record, if the issue is that a second record of the same upload has its key or id.
    pub first_line: Option<u64>,
}

impl Issue {
    /// Returns an error of the record as a whole.
    pub fn error(code: impl Into<Code>) -> Self {
        let field = FieldPath::WHOLE_RECORD;
        Self { severity: Severity::Error, code: code.into(), field, rule: None, first_line: None }
    }

    /// Returns the error of a record whose key or id an earlier record has, which is on the line `first` of the same
    /// upload, if that is known.
    pub fn duplicate(code: impl Into<Code>, first: Option<u64>) -> Self {
        Self { first_line: first, ..Self::error(code) }
    }

    /// Returns a warning about the record as a whole.
    pub fn warning(code: impl Into<Code>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code) }
    }

    /// Returns true if the issue is an error, which stops its record.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The party that is responsible for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The customer, who corrects the record.
    Record,
    /// The plugin's author.
    Plugin,
    /// The operator of Sluice.
    Host,
    /// The operator of the platform.
    Target,
}
