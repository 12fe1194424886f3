//! Source records by an issue: of the record itself, or of a record that was made from it.

use std::collections::HashSet;

use crate::load::noted_issues;
use crate::{MigrationContext, PipelineError};
use sluice_catalog::{IssueFilter, Pagination, Phase};
use sluice_staging::{Origin, StagedBatch, StreamName};

/// Number of issues that are read at once.
const PAGE: u64 = 1_000;

/// Source records with an issue.
#[derive(Debug, Default)]
pub struct IssueRecords {
    /// Ordinals in the source's stream.
    pub ordinals: HashSet<u64>,
    /// Number of issues with the code that the last validation found and did not list. Their records are not included.
    pub unlisted: u64,
}

/// Returns the records of a source that have an issue with this code, or a rule with it: an issue of the upload, or one
/// that the last validation found in a record made from them.
pub fn records_with_issue(context: &MigrationContext, source: &str, code: &str) -> Result<IssueRecords, PipelineError> {
    let (limits, mut found) = (&context.config.upload, IssueRecords::default());
    let mut reader = context.area.reader(StreamName::Source(source), 0)?;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        for entry in staged.entries.iter().filter(|entry| entry.code().is_some() || !entry.notes.is_empty()) {
            let issues = noted_issues(entry.status(), entry.code().unwrap_or_default(), &entry.notes);
            if issues.iter().any(|issue| *issue.code == *code || issue.rule.as_deref() == Some(code)) {
                found.ordinals.insert(entry.ordinal);
            }
        }
    }
    let migration = context.migration.reference_id;
    let counts = context.store.issue_counts(migration, Phase::Validate)?;
    let of_code = counts.iter().filter(|count| *count.code == *code || count.rule.as_deref() == Some(code));
    let counted: u64 = of_code.map(|count| count.count).sum();
    let (mut page, mut listed) = (Pagination { offset: 0, limit: PAGE }, 0);
    loop {
        let (issues, total) = context.store.issues(migration, Phase::Validate, &IssueFilter::default(), page)?;
        page.offset += issues.len() as u64;
        let done = issues.is_empty() || page.offset >= total;
        for issue in issues {
            if *issue.issue.code != *code && issue.issue.rule.as_deref() != Some(code) {
                continue;
            }
            listed += 1;
            let Some(id) = issue.reference_id else { continue };
            if let Some((record, _)) = context.area.record(&issue.stream, id.into_bytes())?
                && let Origin::Source { stream, ordinal } = record.origin
                && context.area.source_of(stream)?.as_deref() == Some(source)
            {
                found.ordinals.insert(ordinal);
            }
        }
        if done {
            found.unlisted = counted.saturating_sub(listed);
            return Ok(found);
        }
    }
}
