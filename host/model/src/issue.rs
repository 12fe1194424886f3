//! What is wrong with a record, and who is to blame for a failure.

use serde::{Deserialize, Serialize};

use super::{Code, FieldPath};

/// Whether an issue stops its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It stops the record.
    Error,
    /// It is worth a look.
    Warning,
}

impl Severity {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// How much a log entry matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For whoever looks for something.
    Debug,
    /// As it should be.
    Info,
    /// Worth a look.
    Warning,
    /// Something does not go on.
    Error,
}

impl Level {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// The level with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Level::Debug, Level::Info, Level::Warning, Level::Error].into_iter().find(|level| level.as_str() == name)
    }
}

/// One thing that is wrong with one record: places and codes, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Whether it stops the record.
    pub severity: Severity,
    /// What is wrong.
    pub code: Code,
    /// Where.
    pub field: FieldPath,
    /// The rule's own code where `code` is `RULE_VIOLATION`.
    pub rule: Option<Code>,
}

impl Issue {
    /// An error of the record as a whole.
    pub fn error(code: impl Into<Code>) -> Self {
        Self { severity: Severity::Error, code: code.into(), field: FieldPath::WHOLE, rule: None }
    }

    /// Whether it stops its record.
    pub fn stops(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Who a failure is to be brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The customer, who corrects the record.
    Record,
    /// The plugin's author.
    Plugin,
    /// Whoever runs Sluice.
    Host,
    /// Whoever runs the platform.
    Target,
}
