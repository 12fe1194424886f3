//! Retention of staged records, trials and comparisons.

use serde::{Deserialize, Serialize};

/// Retention of staged records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Number of days after its import at which the server purges a migration. None: the server deletes no data unless
    /// the operator configures it.
    pub days_after_import: Option<u32>,
    /// Number of seconds between two checks for migrations to purge. 3,600: precise enough for days, and a check costs
    /// one query.
    pub check_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days_after_import: None, check_seconds: 3_600 }
    }
}

/// Retention of trials and comparisons.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialLimits {
    /// Maximum number of hours for which the server keeps the target of a trial if a client requests it. 168: a week
    /// for its inspection. The target is not encrypted.
    pub max_keep_hours: u64,
    /// Number of hours for which the server keeps the differences of a comparison. The next comparison replaces them.
    /// 168.
    pub difference_hours: u64,
}

impl Default for TrialLimits {
    fn default() -> Self {
        Self { max_keep_hours: 168, difference_hours: 168 }
    }
}
