//! What is wrong with a record, in the platform's words.

use crate::bindings::types::{Issue, Severity};

/// One thing that is wrong, before it is known of which record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the record.
    pub severity: Severity,
    /// `SCREAMING_SNAKE_CASE`.
    pub code: String,
    /// Path of the field; empty for the whole record.
    pub field: String,
    /// The rule's own code where `code` is `RULE_VIOLATION`.
    pub rule: Option<String>,
}

impl Finding {
    /// The same as a warning, which stops nothing.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// As it crosses the boundary.
    pub(crate) fn at(self, position: u32) -> Issue {
        Issue { position, severity: self.severity, code: self.code, field: self.field, rule: self.rule }
    }
}

/// An error with this code at this field.
pub fn finding(code: impl Into<String>, field: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, code: code.into(), field: field.into(), rule: None }
}

/// `MISSING_REQUIRED_FIELD`.
pub fn missing(field: impl Into<String>) -> Finding {
    finding("MISSING_REQUIRED_FIELD", field)
}

/// `INVALID_VALUE`: well-formed, and not among what is allowed.
pub fn invalid(field: impl Into<String>) -> Finding {
    finding("INVALID_VALUE", field)
}

/// `RULE_VIOLATION` with the rule's own code.
pub fn rule(rule: impl Into<String>, field: impl Into<String>) -> Finding {
    Finding { rule: Some(rule.into()), ..finding("RULE_VIOLATION", field) }
}
