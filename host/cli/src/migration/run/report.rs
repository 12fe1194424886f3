//! Report on a run: filled step by step, and printed once at the end, as JSON or as text.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sluice_client::{CountView, ResultTally, ValidationView};
use uuid::Uuid;

use crate::migration::job::INTERRUPTED;

/// Ending of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MigrationEnding {
    /// All records are imported, and all counts agree.
    Agreed,
    /// Records are invalid, and nothing was imported.
    Invalid,
    /// A step failed, or counts differ.
    #[default]
    Failed,
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl MigrationEnding {
    /// Returns the exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            MigrationEnding::Agreed => 0,
            MigrationEnding::Failed => 1,
            MigrationEnding::Invalid => 2,
            MigrationEnding::Interrupted => INTERRUPTED,
        }
    }
}

/// Report on a run. Its JSON form is the output of `sluice migrate --json`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationReport {
    /// Ending.
    pub ending: MigrationEnding,
    /// Error of a failed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Address of the server.
    pub server: String,
    /// Reference id of the migration, once it is registered.
    pub reference_id: Option<Uuid>,
    /// Uploaded sources.
    pub sources: Vec<SourceReport>,
    /// Sources of the mapper without records. They were not uploaded.
    pub without_records: Vec<String>,
    /// Files that belong to no source of the mapper.
    pub ignored_files: Vec<String>,
    /// Validations: the first one, and one after each deletion of records.
    pub validations: Vec<ValidationView>,
    /// Errors of the last validation.
    pub issues: Vec<IssueGroup>,
    /// Records that were deleted because of validation errors.
    pub deleted: Vec<DeletionCount>,
    /// Result of the import.
    pub import: Option<Value>,
    /// Verification counts.
    pub counts: Vec<CountView>,
    /// Time of each step.
    pub steps: Vec<StepTime>,
    /// Job that is running.
    #[serde(skip)]
    pub running: Option<Uuid>,
}

/// Upload of a source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// Name of the source.
    pub source: String,
    /// Results of its records.
    #[serde(flatten)]
    pub tally: ResultTally,
    /// Time of the upload, in seconds.
    pub seconds: f64,
}

/// Validation errors of one kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueGroup {
    /// Entity type.
    pub entity_type: String,
    /// Code.
    pub code: String,
    /// Code of the rule, if a rule was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Number of errors.
    pub count: u64,
    /// Fields with the error.
    pub fields: Vec<String>,
    /// Reference ids of the first records.
    pub reference_ids: Vec<Uuid>,
}

/// Number of deleted records of one entity type.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionCount {
    /// Entity type.
    pub entity_type: String,
    /// Number of records.
    pub count: u64,
}

/// Time of a step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepTime {
    /// Name of the step.
    pub step: &'static str,
    /// Time, in seconds.
    pub seconds: f64,
    /// Number of processed records.
    pub records: u64,
}

impl MigrationReport {
    /// Adds the time and the records of a step. A repeated step adds to its earlier time.
    pub fn add_step(&mut self, name: &'static str, time: Duration, records: u64) {
        match self.steps.iter_mut().find(|step| step.step == name) {
            Some(step) => {
                step.seconds += time.as_secs_f64();
                step.records += records;
            }
            None => self.steps.push(StepTime { step: name, seconds: time.as_secs_f64(), records }),
        }
    }

    /// Returns the number of refused source records.
    pub fn refused(&self) -> u64 {
        self.sources.iter().map(|source| source.tally.refused()).sum()
    }

    /// Returns the number of deleted staged records.
    pub fn deleted(&self) -> u64 {
        self.deleted.iter().map(|deleted| deleted.count).sum()
    }

    /// Returns the number of imported records that are staged no longer and stay in the target.
    pub fn not_staged(&self) -> u64 {
        let numbers = self.import.as_ref().and_then(|import| import["notStaged"].as_object());
        numbers.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
    }

    /// Returns the number of rows of the target that changed after the import.
    pub fn altered(&self) -> u64 {
        let sum = |name: &str| -> u64 {
            let rows = self.counts.iter().find(|count| count.r#type == name).map(|count| count.imported_rows.iter());
            rows.into_iter().flatten().filter_map(|row| row.get(1)?.parse::<u64>().ok()).sum()
        };
        sum("TotalEntity").saturating_sub(sum("TotalUnaltered"))
    }

    /// Returns the number of lines that were read, and of those that are accounted for, if the counts have them.
    pub fn lines(&self) -> Option<(u64, u64)> {
        let count = self.counts.iter().find(|count| count.r#type == "TotalLines")?;
        let sum = |rows: &[Vec<String>]| rows.iter().filter_map(|row| row.get(1)?.parse::<u64>().ok()).sum();
        Some((sum(&count.staged_rows), sum(&count.imported_rows)))
    }

    /// Returns the totals of each entity type, or none if the counts are those of a platform.
    pub fn totals(&self) -> Vec<EntityTotal> {
        let Some(total) = self.counts.iter().find(|count| count.r#type == "TotalEntity") else { return vec![] };
        let amounts = self.counts.iter().find(|count| count.r#type == "TotalAmounts");
        let number = |rows: &[Vec<String>], name: &str| {
            let row = rows.iter().find(|row| row.first().is_some_and(|first| first == name));
            row.and_then(|row| row.get(1)?.parse().ok()).unwrap_or(0)
        };
        let sums = |rows: Option<&[Vec<String>]>, name: &str| {
            let rows = rows.unwrap_or_default().iter().filter(|row| row.first().is_some_and(|first| first == name));
            rows.filter_map(|row| Some((row.get(1)?.clone(), row.get(2)?.clone()))).collect()
        };
        let names = total.staged_rows.iter().filter_map(|row| row.first());
        names
            .map(|name| EntityTotal {
                entity_type: name.clone(),
                staged: number(&total.staged_rows, name),
                imported: number(&total.imported_rows, name),
                staged_sums: sums(amounts.map(|count| count.staged_rows.as_slice()), name),
                imported_sums: sums(amounts.map(|count| count.imported_rows.as_slice()), name),
            })
            .collect()
    }
}

/// Counts and sums of an entity type in the staging area and in the target.
pub struct EntityTotal {
    /// Entity type.
    pub entity_type: String,
    /// Number of staged records.
    pub staged: u64,
    /// Number of imported records.
    pub imported: u64,
    /// Sums of staged records: currency and amount.
    pub staged_sums: Vec<(String, String)>,
    /// Sums of imported records: currency and amount.
    pub imported_sums: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_from_counts() {
        let rows = |rows: &[&[&str]]| -> Vec<Vec<String>> {
            rows.iter().map(|row| row.iter().map(|cell| (*cell).into()).collect()).collect()
        };
        let count = |r#type: &str, staged: &[&[&str]], imported: &[&[&str]]| CountView {
            r#type: r#type.into(),
            headers: vec![],
            staged_rows: rows(staged),
            imported_rows: rows(imported),
        };
        let counts = vec![
            count("TotalEntity", &[&["a", "2"], &["b", "1"]], &[&["a", "1"], &["b", "1"]]),
            count("TotalUnaltered", &[&["a", "2"], &["b", "1"]], &[&["a", "1"], &["b", "0"]]),
            count("TotalAmounts", &[&["a", "CZK", "10.5"], &["a", "EUR", "1"]], &[&["a", "CZK", "10"]]),
        ];
        let report = MigrationReport { counts, ..MigrationReport::default() };
        assert_eq!(report.altered(), 1);
        let totals = report.totals();
        assert_eq!((totals.len(), totals[0].staged, totals[0].imported), (2, 2, 1));
        assert_eq!(totals[0].staged_sums, [("CZK".into(), "10.5".into()), ("EUR".into(), "1".into())]);
        assert!(totals[0].imported_sums.len() == 1 && totals[1].staged_sums.is_empty());
    }

    #[test]
    fn a_repeated_step_adds_up() {
        let mut report = MigrationReport::default();
        report.add_step("validate", Duration::from_secs(1), 10);
        report.add_step("validate", Duration::from_secs(2), 5);
        assert_eq!((report.steps.len(), report.steps[0].records, report.steps[0].seconds), (1, 15, 3.0));
    }
}
