//! Findings: issues of records in the platform's codes.

use crate::bindings::types::{Issue, Severity};

/// An issue without the position of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Effect of the issue.
    pub severity: Severity,
    /// Code, in `SCREAMING_SNAKE_CASE`.
    pub code: String,
    /// Path of the field. Empty for the whole record.
    pub field: String,
    /// Code of the broken rule if `code` is `RULE_VIOLATION`.
    pub rule: Option<String>,
}

impl Finding {
    /// Returns the finding with severity `warning`, which stops nothing.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Returns the issue of the record at this position.
    pub(crate) fn at(self, position: u32) -> Issue {
        Issue { position, severity: self.severity, code: self.code, field: self.field, rule: self.rule }
    }
}

/// Returns an error with this code at this field.
pub fn finding(code: impl Into<String>, field: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, code: code.into(), field: field.into(), rule: None }
}

/// Returns the error `MISSING_REQUIRED_FIELD` at this field.
pub fn missing(field: impl Into<String>) -> Finding {
    finding("MISSING_REQUIRED_FIELD", field)
}

/// Returns the error `INVALID_VALUE` at this field: the value is well-formed and not permitted.
pub fn invalid(field: impl Into<String>) -> Finding {
    finding("INVALID_VALUE", field)
}

/// Returns the error `RULE_VIOLATION` at this field, with the code of the broken rule.
pub fn rule(rule: impl Into<String>, field: impl Into<String>) -> Finding {
    Finding { rule: Some(rule.into()), ..finding("RULE_VIOLATION", field) }
}
