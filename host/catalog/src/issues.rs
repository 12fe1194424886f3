//! Issues: all are counted, and those up to a limit are listed.

use rusqlite::params;
use uuid::Uuid;

use super::{Catalog, CatalogError, Pagination};
use sluice_model::{Code, FieldPath, Issue, Name, Severity};

/// The phase that found an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The uploads.
    Load,
    /// The last validation.
    Validate,
    /// The last import.
    Import,
    /// The last verification.
    Counts,
}

impl Phase {
    /// All phases, in the order of the steps of a migration.
    pub const ALL: [Phase; 4] = [Phase::Load, Phase::Validate, Phase::Import, Phase::Counts];

    /// Returns the name that the catalog stores and the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Load => "load",
            Phase::Validate => "validate",
            Phase::Import => "import",
            Phase::Counts => "counts",
        }
    }

    /// Returns the phase with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}

/// An issue and its record.
#[derive(Clone, Debug)]
pub struct ListedIssue {
    /// The source or entity type.
    pub stream: Name,
    /// Line in the upload, if the record has no reference id.
    pub line: Option<u64>,
    /// Number of the upload, if the upload found the issue.
    pub upload: Option<u32>,
    /// Reference id of the record, if it has one.
    pub reference_id: Option<Uuid>,
    /// The issue.
    pub issue: Issue,
}

/// The issues of an uploaded record that was replaced or deleted.
#[derive(Clone, Debug)]
pub struct SupersededIssues {
    /// The source or entity type.
    pub stream: Name,
    /// Number of the upload.
    pub upload: u32,
    /// Line in the upload.
    pub line: u64,
    /// The issues.
    pub issues: Vec<Issue>,
}

/// A filter of listed issues.
#[derive(Clone, Debug, Default)]
pub struct IssueFilter {
    /// Code of the issues.
    pub code: Option<String>,
    /// Source or entity type of the issues.
    pub stream: Option<String>,
    /// Sources and entity types that the caller may see. `None` is all.
    pub visible: Option<Vec<String>>,
}

/// The number of issues with the same stream, severity, code and rule.
#[derive(Clone, Debug)]
pub struct IssueTotal {
    /// The source or entity type.
    pub stream: Name,
    /// Severity of the issues.
    pub severity: Severity,
    /// Code of the issues.
    pub code: Code,
    /// Code of the violated rule if `code` is `RULE_VIOLATION`.
    pub rule: Option<Code>,
    /// Number of the issues.
    pub count: u64,
}

/// An issue in the history of a record.
#[derive(Clone, Debug)]
pub struct RecordIssue {
    /// Phase that found the issue.
    pub phase: Phase,
    /// True if the phase has run again since.
    pub superseded: bool,
    /// The issue.
    pub issue: Issue,
}

/// Prefix of the phase of an issue whose phase has run again since.
pub(super) const EARLIER: &str = "earlier-";

fn severity(word: &str) -> Severity {
    if word == Severity::Error.as_str() { Severity::Error } else { Severity::Warning }
}

impl Catalog {
    /// Returns every listed issue of a record, of the last run of a phase or an earlier one, oldest first. Finds them
    /// by the reference id, and by the source and line of the source record.
    pub fn issues_of(
        &self,
        migration: Uuid,
        stream: &str,
        reference_id: Uuid,
        source: Option<(&str, u64)>,
    ) -> Result<Vec<RecordIssue>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT phase, severity, code, field, rule, first_line FROM issues WHERE migration = ?1
             AND ((stream = ?2 AND reference_id = ?3) OR (stream = ?4 AND line = ?5)) ORDER BY number",
        )?;
        let key = params![
            migration.to_string(),
            stream,
            reference_id.to_string(),
            source.map(|(source, _)| source),
            source.map(|(_, line)| line)
        ];
        let issues = query.query_map(key, |row| {
            let text = |index: usize| row.get::<_, Option<String>>(index);
            let phase = text(0)?.unwrap_or_default();
            let (phase, superseded) = match phase.strip_prefix(EARLIER) {
                Some(phase) => (Phase::parse(phase), true),
                None => (Phase::parse(&phase), false),
            };
            Ok(RecordIssue {
                phase: phase.unwrap_or(Phase::Load),
                superseded,
                issue: Issue {
                    severity: severity(&text(1)?.unwrap_or_default()),
                    code: Code::from_storage(&text(2)?.unwrap_or_default()),
                    field: FieldPath::from_storage(&text(3)?.unwrap_or_default()),
                    rule: text(4)?.map(|rule| Code::from_storage(&rule)),
                    first_line: row.get(5)?,
                },
            })
        })?;
        Ok(issues.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns listed issues that match the filter, and their total number.
    pub fn issues(
        &self,
        migration: Uuid,
        phase: Phase,
        filter: &IssueFilter,
        page: Pagination,
    ) -> Result<(Vec<ListedIssue>, u64), CatalogError> {
        let connection = self.lock();
        let matching = "migration = ?1 AND phase = ?2 AND (?3 IS NULL OR code = ?3) AND (?4 IS NULL OR stream = ?4)
             AND (?5 IS NULL OR stream IN (SELECT value FROM json_each(?5)))";
        let visible = filter.visible.as_ref().map(|visible| serde_json::json!(visible).to_string());
        let id = migration.to_string();
        let mut query = connection.prepare_cached(&format!(
            "SELECT stream, line, reference_id, severity, code, field, rule, first_line, upload FROM issues
             WHERE {matching} ORDER BY number LIMIT ?6 OFFSET ?7"
        ))?;
        let items = query
            .query_map(
                params![id, phase.as_str(), filter.code, filter.stream, visible, page.limit, page.offset],
                |row| {
                    let text = |index: usize| row.get::<_, Option<String>>(index);
                    Ok(ListedIssue {
                        stream: Name::from_storage(&text(0)?.unwrap_or_default()),
                        line: row.get(1)?,
                        upload: row.get(8)?,
                        reference_id: text(2)?.and_then(|id| id.parse().ok()),
                        issue: Issue {
                            severity: severity(&text(3)?.unwrap_or_default()),
                            code: Code::from_storage(&text(4)?.unwrap_or_default()),
                            field: FieldPath::from_storage(&text(5)?.unwrap_or_default()),
                            rule: text(6)?.map(|rule| Code::from_storage(&rule)),
                            first_line: row.get(7)?,
                        },
                    })
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row(
            &format!("SELECT count(*) FROM issues WHERE {matching}"),
            params![id, phase.as_str(), filter.code, filter.stream, visible],
            |row| row.get(0),
        )?;
        Ok((items, total))
    }

    /// Returns the records of the first `max` listed issues of a kind: reference ids, and lines of records without one.
    pub fn first_issues(
        &self,
        migration: Uuid,
        phase: Phase,
        kind: &IssueTotal,
        max: u64,
    ) -> Result<(Vec<Uuid>, Vec<u64>), CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT reference_id, line FROM issues WHERE migration = ? AND phase = ? AND stream = ?
             AND severity = ? AND code = ? AND coalesce(rule, '') = ?
             GROUP BY reference_id, line ORDER BY min(number) LIMIT ?",
        )?;
        let IssueTotal { stream, severity, code, rule, .. } = kind;
        let rule = rule.as_deref().unwrap_or_default();
        let of = params![migration.to_string(), phase.as_str(), &**stream, severity.as_str(), &**code, rule, max];
        let (mut ids, mut lines, mut rows) = (vec![], vec![], query.query(of)?);
        while let Some(row) = rows.next()? {
            match row.get::<_, Option<String>>(0)?.and_then(|id| id.parse().ok()) {
                Some(id) => ids.push(id),
                None => lines.extend(row.get::<_, Option<u64>>(1)?),
            }
        }
        Ok((ids, lines))
    }

    /// Returns the fields that the listed issues of a kind name, each with its number of listed issues, most first, and at
    /// most `max`.
    pub fn issue_fields(
        &self,
        migration: Uuid,
        phase: Phase,
        kind: &IssueTotal,
        max: u64,
    ) -> Result<Vec<(FieldPath, u64)>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT field, count(*) AS listed FROM issues WHERE migration = ? AND phase = ? AND stream = ?
             AND severity = ? AND code = ? AND coalesce(rule, '') = ? GROUP BY field ORDER BY listed DESC, field LIMIT ?",
        )?;
        let IssueTotal { stream, severity, code, rule, .. } = kind;
        let rule = rule.as_deref().unwrap_or_default();
        let of = params![migration.to_string(), phase.as_str(), &**stream, severity.as_str(), &**code, rule, max];
        let fields =
            query.query_map(of, |row| Ok((FieldPath::from_storage(&row.get::<_, String>(0)?), row.get(1)?)))?;
        Ok(fields.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the number of issues of a phase by stream, severity, code and rule, including those that are not listed.
    pub fn issue_counts(&self, migration: Uuid, phase: Phase) -> Result<Vec<IssueTotal>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT stream, severity, code, rule, count FROM issue_counts WHERE migration = ? AND phase = ?",
        )?;
        let counts = query.query_map(params![migration.to_string(), phase.as_str()], |row| {
            let text = |index: usize| row.get::<_, String>(index);
            let rule = text(3)?;
            Ok(IssueTotal {
                stream: Name::from_storage(&text(0)?),
                severity: severity(&text(1)?),
                code: Code::from_storage(&text(2)?),
                rule: (!rule.is_empty()).then(|| Code::from_storage(&rule)),
                count: row.get(4)?,
            })
        })?;
        Ok(counts.collect::<rusqlite::Result<_>>()?)
    }
}
