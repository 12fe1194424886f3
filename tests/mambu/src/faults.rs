//! Fault injection: rules that select a call and the fault that is applied to it.

use serde::{Deserialize, Serialize};

/// A kind of fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// Does not execute the call. Answers with this 5xx status.
    ErrorBefore(u16),
    /// Executes the call. Answers with this 5xx status.
    ErrorAfter(u16),
    /// Executes the call. Closes the connection without a response.
    LostAnswer,
    /// Does not execute the call. Resets the connection.
    ResetBefore,
    /// Executes the call. Sends half of the response, then closes the connection.
    CutAnswer,
    /// Executes the call after this number of milliseconds, even if the client has disconnected, then answers. Until
    /// then the idempotency key is in progress.
    Slow(u64),
    /// Executes the call immediately. Answers after this number of milliseconds.
    SlowAnswer(u64),
    /// Executes the call. Never answers, and keeps the connection open until the client closes it.
    Stall,
    /// Does not execute the call. Answers with 429 and `Retry-After` of this number of seconds.
    TooManyRequests(u64),
    /// Does not execute the call. Answers with 102.
    Processing,
    /// Does not execute the call. Rejects it with this error.
    Refuse {
        /// HTTP status.
        status: u16,
        /// Error code in the body.
        code: u32,
        /// Error reason in the body.
        reason: String,
    },
    /// Does not execute the call. Answers with 302 and this `Location`.
    Redirect(String),
    /// Resets every open connection, and every new one for some time. Keeps the state and the idempotency keys. Does
    /// not execute other calls in progress.
    Restart {
        /// Downtime in milliseconds.
        ms: u64,
        /// True if the call is executed before the restart.
        #[serde(default)]
        committed: bool,
    },
}

/// A rule that applies a fault to matching calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// Method such as `POST`, or `*` for all.
    pub method: String,
    /// Path template below `/api`, such as `/loans/{id}/repayment-transactions`, or `*` for all.
    pub path: String,
    /// Number of the matching call that the fault is applied to, from 1, counted from the addition of the rule. The
    /// first call if `nth` and `every` are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Interval in matching calls at which the fault is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Fault that is applied.
    pub kind: FaultKind,
}

impl FaultRule {
    /// Creates a rule that applies once, to the nth matching call.
    #[must_use]
    pub fn nth(method: &str, path: &str, nth: u64, kind: FaultKind) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), nth: Some(nth), every: None, kind }
    }

    /// Creates a rule that applies to every nth matching call.
    #[must_use]
    pub fn every(method: &str, path: &str, every: u64, kind: FaultKind) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), nth: None, every: Some(every), kind }
    }

    fn matches(&self, method: &str, template: &str) -> bool {
        (self.method == "*" || self.method == method) && (self.path == "*" || self.path == template)
    }

    fn is_due(&self, matched: u64) -> bool {
        match self.every {
            Some(every) => matched.is_multiple_of(every.max(1)),
            None => matched == self.nth.unwrap_or(1),
        }
    }
}

/// A fault rule with its counts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultStatus {
    #[serde(flatten)]
    /// The rule.
    pub fault: FaultRule,
    /// Number of matching calls.
    pub matched: u64,
    /// Number of calls that the fault was applied to.
    pub struck: u64,
}

/// Fault rules in the order of their addition.
#[derive(Default)]
pub struct FaultRules(Vec<FaultStatus>);

impl FaultRules {
    /// Adds a rule.
    pub fn add(&mut self, fault: FaultRule) {
        self.0.push(FaultStatus { fault, matched: 0, struck: 0 });
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns all rules with their counts.
    #[must_use]
    pub fn list(&self) -> Vec<FaultStatus> {
        self.0.clone()
    }

    /// Counts a call in all matching rules and returns the fault of the first rule that applies to it.
    pub fn next_fault(&mut self, method: &str, template: &str) -> Option<FaultKind> {
        let mut kind = None;
        for status in &mut self.0 {
            if status.fault.matches(method, template) {
                status.matched += 1;
                if kind.is_none() && status.fault.is_due(status.matched) {
                    status.struck += 1;
                    kind = Some(status.fault.kind.clone());
                }
            }
        }
        kind
    }
}
