//! The issues of an uploaded record, as the staging area keeps them beside the record. When the record is replaced, they
//! tell which issues no longer count.

use crate::load::UploadSummary;
use crate::{MigrationContext, PipelineError};
use sluice_catalog::SupersededIssues;
use sluice_model::{Code, FieldPath, Issue, Name, Severity};
use sluice_staging::{SourceStatus, SupersededEntry};

/// An issue in the notes: true for an error, code, field, rule and line of the first record.
type NotedIssue<'a> = (bool, &'a str, &'a str, Option<&'a str>, Option<u64>);

fn noted(issue: &Issue) -> NotedIssue<'_> {
    let Issue { code, field, rule, first_line, .. } = issue;
    (issue.is_error(), code, field, rule.as_deref(), *first_line)
}

/// Returns the notes of a record with this code and these issues. Most records have no issue, or one that the code says
/// already, and need no notes.
pub(crate) fn notes_of(code: Option<&Code>, issues: &[Issue]) -> Vec<u8> {
    match issues {
        [] => return vec![],
        [issue] if code.is_some_and(|code| *issue == Issue::error(code.clone())) => return vec![],
        _ => {}
    }
    let all: Vec<NotedIssue> = issues.iter().map(noted).collect();
    serde_json::to_vec(&all).expect("issues can be written as JSON")
}

/// An issue as notes hold it: true if it is an error, code, field, rule and line of the first record.
type StoredIssue = (bool, String, String, Option<String>, Option<u64>);

/// Returns the issues of a staged record with this result, code and notes.
pub(crate) fn noted_issues(status: Option<SourceStatus>, code: &str, notes: &[u8]) -> Vec<Issue> {
    let noted: Vec<StoredIssue> = serde_json::from_slice(notes).unwrap_or_default();
    let mut issues: Vec<Issue> = noted
        .into_iter()
        .map(|(error, code, field, rule, first_line)| Issue {
            severity: if error { Severity::Error } else { Severity::Warning },
            code: Code::from_storage(&code),
            field: FieldPath::from_storage(&field),
            rule: rule.map(|rule| Code::from_storage(&rule)),
            first_line,
        })
        .collect();
    let unsaid = match status {
        // The failure of a plugin is an issue beside the ones that were found before.
        Some(SourceStatus::Quarantined) => true,
        Some(SourceStatus::Rejected) => !issues.iter().any(Issue::is_error),
        _ => false,
    };
    if unsaid {
        issues.push(Issue::error(Code::from_storage(code)));
    }
    issues
}

/// Returns the issues of entries that were replaced or deleted.
pub(crate) fn superseded_issues(superseded: Vec<SupersededEntry>) -> Vec<SupersededIssues> {
    let issues_of = |entry: SupersededEntry| SupersededIssues {
        stream: Name::from_storage(&entry.stream),
        upload: entry.upload,
        line: entry.line,
        issues: noted_issues(entry.status, &entry.code, &entry.notes),
    };
    superseded.into_iter().map(issues_of).collect()
}

impl UploadSummary {
    /// Takes back the issues of records that were deleted.
    pub(crate) fn withdraw_issues(
        context: &MigrationContext,
        superseded: Vec<SupersededEntry>,
    ) -> Result<(), PipelineError> {
        let (superseded, most) = (superseded_issues(superseded), context.config.records.listed_issues);
        Ok(context.store.replace_upload_issues(context.migration.reference_id, &[], &superseded, most)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The notes of a record yield its issues again.
    #[test]
    fn issues_are_read_back() {
        use SourceStatus::{Mapped, Quarantined, Rejected, Skipped};
        let warning = || Issue {
            severity: Severity::Warning,
            field: FieldPath::from_storage("name"),
            rule: Some(Code::new("ODD_NAME")),
            ..Issue::error("RULE_VIOLATION")
        };
        let field = || Issue { field: FieldPath::from_storage("date"), ..Issue::error("INVALID_FORMAT") };
        let whole = || Issue::error("INVALID_JSON");
        let cases: [(SourceStatus, &str, Vec<Issue>, bool); 8] = [
            (Mapped, "", vec![], false),
            (Mapped, "", vec![warning()], true),
            (Skipped, "LEFT_OUT", vec![warning()], true),
            (Rejected, "INVALID_JSON", vec![whole()], false),
            (Rejected, "INVALID_FORMAT", vec![field()], true),
            (Rejected, "INVALID_FORMAT", vec![warning(), field(), whole()], true),
            (Rejected, "DUPLICATE_KEY", vec![Issue::duplicate("DUPLICATE_KEY", Some(3))], true),
            (Quarantined, "PLUGIN_TRAPPED", vec![warning(), field()], true),
        ];
        for (status, code, mut issues, noted) in cases {
            let code = Some(Code::from_storage(code)).filter(|code| !code.is_empty());
            let notes = notes_of(code.as_ref(), &issues);
            assert_eq!(!notes.is_empty(), noted, "{issues:?}");
            if status == Quarantined {
                issues.push(Issue::error("PLUGIN_TRAPPED"));
            }
            assert_eq!(noted_issues(Some(status), code.as_deref().unwrap_or_default(), &notes), issues);
        }
        // A record that was refused after its issues were noted.
        let refused = noted_issues(Some(Rejected), "DUPLICATE_KEY", &notes_of(None, &[warning()]));
        assert_eq!(refused, [warning(), Issue::error("DUPLICATE_KEY")]);
    }
}
