//! What is wrong with a record, and who is to blame for a failure.

use serde::{Deserialize, Serialize};

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

/// One thing that is wrong with one record: places and codes, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Whether it stops the record.
    pub severity: Severity,
    /// `SCREAMING_SNAKE_CASE`.
    pub code: String,
    /// Path of the field; empty for the whole record.
    pub field: String,
    /// The rule's own code where `code` is `RULE_VIOLATION`.
    pub rule: Option<String>,
}

impl Issue {
    /// An error of the record as a whole.
    pub fn error(code: &str) -> Self {
        Self { severity: Severity::Error, code: code.into(), field: String::new(), rule: None }
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
