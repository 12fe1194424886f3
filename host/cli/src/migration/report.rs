//! What a migration came to: filled step by step, and printed once at the end, as JSON or for a person.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use sluice_client::Tally;

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// All is imported, and all counts agree.
    Agreed,
    /// Records are wrong, and nothing was imported.
    Invalid,
    /// Something could not be done, or counts differ.
    #[default]
    Failed,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Ending {
    /// Exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Ending::Agreed => 0,
            Ending::Failed => 1,
            Ending::Invalid => 2,
            // What shells say of a process that SIGINT ended.
            Ending::Interrupted => 130,
        }
    }
}

/// Everything there is to say at the end.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// Why, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where.
    pub server: String,
    /// The migration, once there is one.
    pub reference_id: Option<Uuid>,
    /// What was uploaded.
    pub sources: Vec<SourceReport>,
    /// Sources of the mapper that were not uploaded, as there is nothing of them.
    pub without_records: Vec<String>,
    /// Files that no source of the mapper goes with.
    pub ignored_files: Vec<String>,
    /// The first validation, and others after records were deleted.
    pub validations: Vec<Validation>,
    /// Errors of the last validation.
    pub issues: Vec<IssueGroup>,
    /// Records deleted because validation named them.
    pub deleted: Vec<Deleted>,
    /// What the import did.
    pub import: Option<Value>,
    /// Verification counts.
    pub counts: Vec<Count>,
    /// How long each step took.
    pub steps: Vec<Step>,
    /// The job that is running.
    #[serde(skip)]
    pub running: Option<Uuid>,
}

/// What became of a source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// Its name.
    pub source: String,
    /// Its records.
    #[serde(flatten)]
    pub tally: Tally,
    /// How long the upload took.
    pub seconds: f64,
}

/// Result of a validation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    pub is_valid: bool,
    pub number_of_records: u64,
    pub number_of_errors: u64,
    pub number_of_warnings: u64,
    pub issues_by_code: Vec<IssueCount>,
}

/// How often an issue was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueCount {
    pub entity_type: String,
    pub severity: String,
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    pub count: u64,
}

/// Errors of one kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueGroup {
    pub entity_type: String,
    pub code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    pub count: u64,
    /// Fields concerned, and reference ids of the first records.
    pub fields: Vec<String>,
    pub reference_ids: Vec<Uuid>,
}

/// Records of one type that were deleted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    pub entity_type: String,
    pub count: u64,
}

/// A verification count, as the API shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    pub r#type: String,
    pub headers: Vec<String>,
    pub staged_rows: Vec<Vec<String>>,
    pub imported_rows: Vec<Vec<String>>,
}

/// How long a step took.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub step: &'static str,
    pub seconds: f64,
    pub records: u64,
}

impl Report {
    /// Adds what a step took; a step that is taken again adds to itself.
    pub fn took(&mut self, name: &'static str, took: Duration, records: u64) {
        match self.steps.iter_mut().find(|step| step.step == name) {
            Some(step) => {
                step.seconds += took.as_secs_f64();
                step.records += records;
            }
            None => self.steps.push(Step { step: name, seconds: took.as_secs_f64(), records }),
        }
    }

    /// Source records of which nothing is staged, because something is wrong.
    pub fn refused(&self) -> u64 {
        self.sources.iter().map(|source| source.tally.refused()).sum()
    }

    /// Staged records that were deleted.
    pub fn deleted(&self) -> u64 {
        self.deleted.iter().map(|deleted| deleted.count).sum()
    }

    /// Rows of the target that are not what was imported.
    pub fn altered(&self) -> u64 {
        let sum = |name: &str| -> u64 {
            let rows = self.counts.iter().find(|count| count.r#type == name).map(|count| count.imported_rows.iter());
            rows.into_iter().flatten().filter_map(|row| row.get(1)?.parse::<u64>().ok()).sum()
        };
        sum("TotalEntity").saturating_sub(sum("TotalUnaltered"))
    }

    /// Entity types with their number of records, staged and imported, and amounts as text.
    pub fn totals(&self) -> Vec<Total> {
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
            .map(|name| Total {
                entity_type: name.clone(),
                staged: number(&total.staged_rows, name),
                imported: number(&total.imported_rows, name),
                staged_sums: sums(amounts.map(|count| count.staged_rows.as_slice()), name),
                imported_sums: sums(amounts.map(|count| count.imported_rows.as_slice()), name),
            })
            .collect()
    }
}

/// Counts and sums (currency, amount) of an entity type, on both sides.
pub struct Total {
    pub entity_type: String,
    pub staged: u64,
    pub imported: u64,
    pub staged_sums: Vec<(String, String)>,
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
        let count = |r#type: &str, staged: &[&[&str]], imported: &[&[&str]]| Count {
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
        let report = Report { counts, ..Report::default() };
        assert_eq!(report.altered(), 1);
        let totals = report.totals();
        assert_eq!((totals.len(), totals[0].staged, totals[0].imported), (2, 2, 1));
        assert_eq!(totals[0].staged_sums, [("CZK".into(), "10.5".into()), ("EUR".into(), "1".into())]);
        assert!(totals[0].imported_sums.len() == 1 && totals[1].staged_sums.is_empty());
    }

    #[test]
    fn a_step_taken_again_adds_up() {
        let mut report = Report::default();
        report.took("validate", Duration::from_secs(1), 10);
        report.took("validate", Duration::from_secs(2), 5);
        assert_eq!((report.steps.len(), report.steps[0].records, report.steps[0].seconds), (1, 15, 3.0));
    }
}
