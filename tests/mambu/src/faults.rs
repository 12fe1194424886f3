//! Faults to order: which call they strike, and what they do to it.

use serde::{Deserialize, Serialize};

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Nothing is done; answered with this 5xx.
    ErrorBefore(u16),
    /// It is done; answered with this 5xx.
    ErrorAfter(u16),
    /// It is done; the connection ends without an answer.
    LostAnswer,
    /// Nothing is done; the connection is reset.
    ResetBefore,
    /// It is done; half of the answer's bytes are sent, then the connection ends.
    CutAnswer,
    /// It is done after so many milliseconds, whether or not the client still waits, then answered. Until then
    /// its idempotency key is in work.
    Slow(u64),
    /// It is done at once, and answered after so many milliseconds.
    SlowAnswer(u64),
    /// It is done, and never answered: the connection stays open until the client gives up.
    Stall,
    /// Nothing is done; answered with 429 and `Retry-After` of so many seconds.
    TooManyRequests(u64),
    /// Nothing is done; answered with 102.
    Processing,
    /// Nothing is done; refused for good.
    Refuse { status: u16, code: u32, reason: String },
    /// Nothing is done; answered with 302 and this `Location`.
    Redirect(String),
    /// Every connection is reset, and for so many milliseconds every new one is. State and idempotency keys are
    /// kept, what was in work is not done. The call that it strikes is done first if `committed`.
    Restart {
        ms: u64,
        #[serde(default)]
        committed: bool,
    },
}

/// A fault that is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// `POST`, or `*`.
    pub method: String,
    /// A path template below `/api`, such as `/loans/{id}/repayment-transactions`, or `*`.
    pub path: String,
    /// It strikes the nth matching call from when it was ordered, from 1. Without `nth` and `every`: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// It strikes every such many matching calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    pub kind: Kind,
}

impl Fault {
    /// Strikes the nth matching call, once.
    #[must_use]
    pub fn nth(method: &str, path: &str, nth: u64, kind: Kind) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), nth: Some(nth), every: None, kind }
    }

    /// Strikes every such many matching calls.
    #[must_use]
    pub fn every(method: &str, path: &str, every: u64, kind: Kind) -> Self {
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

/// An ordered fault and what became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ordered {
    #[serde(flatten)]
    pub fault: Fault,
    /// Calls that matched.
    pub matched: u64,
    /// How often it struck.
    pub struck: u64,
}

/// The faults in the order in which they were ordered.
#[derive(Default)]
pub struct Orders(Vec<Ordered>);

impl Orders {
    pub fn order(&mut self, fault: Fault) {
        self.0.push(Ordered { fault, matched: 0, struck: 0 });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[must_use]
    pub fn list(&self) -> Vec<Ordered> {
        self.0.clone()
    }

    /// Counts a call on all faults that it matches; the first that is due strikes.
    pub fn strike(&mut self, method: &str, template: &str) -> Option<Kind> {
        let mut struck = None;
        for ordered in &mut self.0 {
            if ordered.fault.matches(method, template) {
                ordered.matched += 1;
                if struck.is_none() && ordered.fault.is_due(ordered.matched) {
                    ordered.struck += 1;
                    struck = Some(ordered.fault.kind.clone());
                }
            }
        }
        struck
    }
}
