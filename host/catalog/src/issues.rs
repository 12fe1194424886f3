//! Issues: listed up to a limit, counted beyond it.

use hashbrown::HashMap;
use rusqlite::params;
use uuid::Uuid;

use super::{Page, Store, StoreError};
use sluice_model::{Code, FieldPath, Issue, Name, Severity};

/// What found an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An upload.
    Load,
    /// The last validation.
    Validate,
    /// The last import.
    Import,
    /// The last verification.
    Counts,
}

impl Phase {
    /// All of them, in the order of their steps.
    pub const ALL: [Phase; 4] = [Phase::Load, Phase::Validate, Phase::Import, Phase::Counts];

    /// As it is stored and asked for.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Load => "load",
            Phase::Validate => "validate",
            Phase::Import => "import",
            Phase::Counts => "counts",
        }
    }

    /// The phase with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}

/// An issue and whose it is.
#[derive(Clone, Debug)]
pub struct ListedIssue {
    /// The source or entity type.
    pub stream: Name,
    /// Line in the upload, where it has no reference id.
    pub line: Option<u64>,
    /// Reference id of the record, where it has one.
    pub reference_id: Option<Uuid>,
    /// What is wrong.
    pub issue: Issue,
}

/// Which issues to list.
#[derive(Clone, Debug, Default)]
pub struct IssueFilter {
    /// Only those with this code.
    pub code: Option<String>,
    /// Only those of this source or entity type.
    pub stream: Option<String>,
    /// Only those of these sources and entity types.
    pub visible: Option<Vec<String>>,
}

/// How many issues are alike.
#[derive(Clone, Debug)]
pub struct IssueCount {
    /// The source or entity type.
    pub stream: Name,
    /// Whether they stop their records.
    pub severity: Severity,
    /// What is wrong.
    pub code: Code,
    /// The rule's own code where `code` is `RULE_VIOLATION`.
    pub rule: Option<Code>,
    /// How many there are.
    pub count: u64,
}

/// An issue in a record's story.
#[derive(Clone, Debug)]
pub struct RecordIssue {
    /// When it was found.
    pub phase: Phase,
    /// Whether the phase has been run again since.
    pub superseded: bool,
    /// What is wrong.
    pub issue: Issue,
}

/// Before the name of a phase: it has begun again since.
const EARLIER: &str = "earlier-";

fn severity(word: &str) -> Severity {
    if word == Severity::Error.as_str() { Severity::Error } else { Severity::Warning }
}

impl Store {
    /// Adds issues: all are counted, and listed while there are fewer than `listed`.
    pub fn add_issues(
        &self,
        migration: Uuid,
        phase: Phase,
        issues: &[ListedIssue],
        listed: u64,
    ) -> Result<(), StoreError> {
        if issues.is_empty() {
            return Ok(());
        }
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let id = migration.to_string();
        let there: u64 = transaction.query_row(
            "SELECT count(*) FROM issues WHERE migration = ? AND phase = ?",
            params![id, phase.as_str()],
            |row| row.get(0),
        )?;
        let mut counts: HashMap<(&str, &str, &str, &str), u64> = HashMap::new();
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO issues (migration, phase, stream, line, reference_id, severity, code, field, rule)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?;
            for (index, listed_issue) in issues.iter().enumerate() {
                let ListedIssue { stream, line, reference_id, issue } = listed_issue;
                let severity = issue.severity.as_str();
                let rule = issue.rule.as_deref().unwrap_or_default();
                *counts.entry((stream, severity, &issue.code, rule)).or_default() += 1;
                if there + index as u64 >= listed {
                    continue;
                }
                insert.execute(params![
                    id,
                    phase.as_str(),
                    &**stream,
                    line,
                    reference_id.map(|id| id.to_string()),
                    severity,
                    &*issue.code,
                    &*issue.field,
                    issue.rule.as_deref(),
                ])?;
            }
            let mut count = transaction.prepare_cached(
                "INSERT INTO issue_counts (migration, phase, stream, severity, code, rule, count)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET count = count + excluded.count",
            )?;
            for ((stream, severity, code, rule), many) in counts {
                count.execute(params![id, phase.as_str(), stream, severity, code, rule, many])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Puts the issues of a phase aside before it begins again: as many as are listed are kept for the records' own
    /// stories, and counted no more.
    pub fn clear_issues(&self, migration: Uuid, phase: Phase, listed: u64) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (id, phase, earlier) = (migration.to_string(), phase.as_str(), format!("{EARLIER}{}", phase.as_str()));
        transaction
            .execute("UPDATE issues SET phase = ?3 WHERE migration = ?1 AND phase = ?2", params![id, phase, earlier])?;
        transaction.execute(
            "DELETE FROM issues WHERE migration = ?1 AND phase = ?2 AND number <= (SELECT number FROM issues
             WHERE migration = ?1 AND phase = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)",
            params![id, earlier, listed],
        )?;
        transaction.execute("DELETE FROM issue_counts WHERE migration = ? AND phase = ?", params![id, phase])?;
        Ok(transaction.commit()?)
    }

    /// Every issue of a record that is still listed, of this run of a phase or an earlier one, the oldest first: by its
    /// reference id, and by the source record that it was made from.
    pub fn issues_of(
        &self,
        migration: Uuid,
        stream: &str,
        reference_id: Uuid,
        source: Option<(&str, u64)>,
    ) -> Result<Vec<RecordIssue>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT phase, severity, code, field, rule FROM issues WHERE migration = ?1
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
                    code: Code::kept(&text(2)?.unwrap_or_default()),
                    field: FieldPath::kept(&text(3)?.unwrap_or_default()),
                    rule: text(4)?.map(|rule| Code::kept(&rule)),
                },
            })
        })?;
        Ok(issues.collect::<rusqlite::Result<_>>()?)
    }

    /// A page of listed issues, and how many of them there are.
    pub fn issues(
        &self,
        migration: Uuid,
        phase: Phase,
        filter: &IssueFilter,
        page: Page,
    ) -> Result<(Vec<ListedIssue>, u64), StoreError> {
        let connection = self.lock();
        let matching = "migration = ?1 AND phase = ?2 AND (?3 IS NULL OR code = ?3) AND (?4 IS NULL OR stream = ?4)
             AND (?5 IS NULL OR stream IN (SELECT value FROM json_each(?5)))";
        let visible = filter.visible.as_ref().map(|visible| serde_json::json!(visible).to_string());
        let id = migration.to_string();
        let mut query = connection.prepare_cached(&format!(
            "SELECT stream, line, reference_id, severity, code, field, rule FROM issues
             WHERE {matching} ORDER BY number LIMIT ?6 OFFSET ?7"
        ))?;
        let items = query
            .query_map(
                params![id, phase.as_str(), filter.code, filter.stream, visible, page.limit, page.offset],
                |row| {
                    let text = |index: usize| row.get::<_, Option<String>>(index);
                    Ok(ListedIssue {
                        stream: Name::kept(&text(0)?.unwrap_or_default()),
                        line: row.get(1)?,
                        reference_id: text(2)?.and_then(|id| id.parse().ok()),
                        issue: Issue {
                            severity: severity(&text(3)?.unwrap_or_default()),
                            code: Code::kept(&text(4)?.unwrap_or_default()),
                            field: FieldPath::kept(&text(5)?.unwrap_or_default()),
                            rule: text(6)?.map(|rule| Code::kept(&rule)),
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

    /// The first listed issues that are alike, at most so many: reference ids, and lines of those without one.
    pub fn first_issues(
        &self,
        migration: Uuid,
        phase: Phase,
        alike: &IssueCount,
        most: u64,
    ) -> Result<(Vec<Uuid>, Vec<u64>), StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT reference_id, line FROM issues WHERE migration = ? AND phase = ? AND stream = ?
             AND severity = ? AND code = ? AND coalesce(rule, '') = ?
             GROUP BY reference_id, line ORDER BY min(number) LIMIT ?",
        )?;
        let IssueCount { stream, severity, code, rule, .. } = alike;
        let rule = rule.as_deref().unwrap_or_default();
        let of = params![migration.to_string(), phase.as_str(), &**stream, severity.as_str(), &**code, rule, most];
        let (mut ids, mut lines, mut rows) = (vec![], vec![], query.query(of)?);
        while let Some(row) = rows.next()? {
            match row.get::<_, Option<String>>(0)?.and_then(|id| id.parse().ok()) {
                Some(id) => ids.push(id),
                None => lines.extend(row.get::<_, Option<u64>>(1)?),
            }
        }
        Ok((ids, lines))
    }

    /// How many issues a phase found, by stream, severity, code and rule: all of them, listed or not.
    pub fn issue_counts(&self, migration: Uuid, phase: Phase) -> Result<Vec<IssueCount>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT stream, severity, code, rule, count FROM issue_counts WHERE migration = ? AND phase = ?",
        )?;
        let counts = query.query_map(params![migration.to_string(), phase.as_str()], |row| {
            let text = |index: usize| row.get::<_, String>(index);
            let rule = text(3)?;
            Ok(IssueCount {
                stream: Name::kept(&text(0)?),
                severity: severity(&text(1)?),
                code: Code::kept(&text(2)?),
                rule: (!rule.is_empty()).then(|| Code::kept(&rule)),
                count: row.get(4)?,
            })
        })?;
        Ok(counts.collect::<rusqlite::Result<_>>()?)
    }
}
