//! Numbers of a trial's records by what would become of them.

use std::collections::BTreeMap;

use crate::reporting::counts::Outcomes;
use sluice_model::{Name, SafeValue};

/// Numbers of the trial's records by what would become of them.
pub struct RecordFates {
    /// Number of all records that the trial took.
    pub taken: u64,
    arriving: u64,
    skipped: u64,
    rejected: u64,
    quarantined: u64,
    incomplete: u64,
}

impl RecordFates {
    /// Returns the numbers of source records with these outcomes and of `direct` records in the platform's own shape.
    /// `incomplete` of them lost at least one record to validation or import.
    pub fn new(direct: u64, outcomes: &BTreeMap<Name, Outcomes>, incomplete: u64) -> Self {
        let number = |wanted: &str| -> u64 {
            let each = outcomes.values().flatten();
            each.filter(|((outcome, _), _)| *outcome == wanted).map(|(_, count)| count).sum()
        };
        let taken = direct + outcomes.values().flatten().map(|(_, count)| count).sum::<u64>();
        let (skipped, rejected, quarantined) = (number("skipped"), number("rejected"), number("quarantined"));
        let arriving = taken.saturating_sub(skipped + rejected + quarantined + incomplete);
        Self { taken, arriving, skipped, rejected, quarantined, incomplete }
    }

    /// Returns true if at least one record would arrive, and no record is lost on the way.
    pub fn all_arrive(&self) -> bool {
        self.rejected + self.quarantined + self.incomplete == 0 && (self.arriving > 0 || self.taken == 0)
    }

    /// Returns the numbers as a member of the report.
    pub fn as_table(&self) -> SafeValue {
        SafeValue::table([
            ("taken", SafeValue::from(self.taken)),
            ("arriving", self.arriving.into()),
            ("skipped", self.skipped.into()),
            ("rejected", self.rejected.into()),
            ("quarantined", self.quarantined.into()),
            ("incomplete", self.incomplete.into()),
        ])
    }
}
