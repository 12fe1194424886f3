//! Changes of issues: adding them, taking back those of replaced records, and clearing a phase before it runs again.

use hashbrown::HashMap;
use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::issues::EARLIER;
use super::{Catalog, CatalogError, ListedIssue, Phase, SupersededIssues};

/// Adds issues: see [`Catalog::add_issues`].
fn add(
    transaction: &Transaction,
    migration: Uuid,
    phase: Phase,
    issues: &[ListedIssue],
    max_listed: u64,
) -> rusqlite::Result<()> {
    if issues.is_empty() {
        return Ok(());
    }
    let id = migration.to_string();
    let before: u64 = transaction.query_row(
        "SELECT count(*) FROM issues WHERE migration = ? AND phase = ?",
        params![id, phase.as_str()],
        |row| row.get(0),
    )?;
    let mut counts: HashMap<(&str, &str, &str, &str), u64> = HashMap::new();
    let mut insert = transaction.prepare_cached(
        "INSERT INTO issues (migration, phase, stream, line, reference_id, severity, code, field, rule, upload,
             first_line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (index, listed_issue) in issues.iter().enumerate() {
        let ListedIssue { stream, line, upload, reference_id, issue } = listed_issue;
        let severity = issue.severity.as_str();
        let rule = issue.rule.as_deref().unwrap_or_default();
        *counts.entry((stream, severity, &issue.code, rule)).or_default() += 1;
        if before + index as u64 >= max_listed {
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
            upload,
            issue.first_line,
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
    Ok(())
}

/// Takes the issues of replaced records back. The listed ones stay for the history of their records.
fn supersede(
    transaction: &Transaction,
    migration: Uuid,
    superseded: &[SupersededIssues],
    max_kept: u64,
) -> rusqlite::Result<()> {
    if superseded.is_empty() {
        return Ok(());
    }
    let (id, phase) = (migration.to_string(), Phase::Load.as_str());
    let earlier = format!("{EARLIER}{phase}");
    let mut counts: HashMap<(&str, &str, &str, &str), u64> = HashMap::new();
    // An earlier version did not note the upload of an issue.
    let mut listed = transaction.prepare_cached(
        "UPDATE issues SET phase = ?2 WHERE migration = ?1 AND phase = ?3 AND stream = ?4 AND line = ?5
         AND coalesce(upload, ?6) = ?6",
    )?;
    for SupersededIssues { stream, upload, line, issues } in superseded {
        for issue in issues {
            let rule = issue.rule.as_deref().unwrap_or_default();
            *counts.entry((stream, issue.severity.as_str(), &issue.code, rule)).or_default() += 1;
        }
        listed.execute(params![id, earlier, phase, &**stream, line, upload])?;
    }
    let mut count = transaction.prepare_cached(
        "UPDATE issue_counts SET count = max(count - ?7, 0)
         WHERE migration = ?1 AND phase = ?2 AND stream = ?3 AND severity = ?4 AND code = ?5 AND rule = ?6",
    )?;
    for ((stream, severity, code, rule), many) in counts {
        count.execute(params![id, phase, stream, severity, code, rule, many])?;
    }
    let none = "DELETE FROM issue_counts WHERE migration = ? AND phase = ? AND count = 0";
    transaction.execute(none, params![id, phase])?;
    forget_earlier(transaction, &id, &earlier, max_kept)
}

/// Deletes the oldest superseded issues of a phase beyond `max_kept`.
fn forget_earlier(transaction: &Transaction, id: &str, earlier: &str, max_kept: u64) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM issues WHERE migration = ?1 AND phase = ?2 AND number <= (SELECT number FROM issues
         WHERE migration = ?1 AND phase = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)",
        params![id, earlier, max_kept],
    )?;
    Ok(())
}

impl Catalog {
    /// Adds issues. Counts all of them, and lists them while fewer than `max_listed` of the phase are listed.
    pub fn add_issues(
        &self,
        migration: Uuid,
        phase: Phase,
        issues: &[ListedIssue],
        max_listed: u64,
    ) -> Result<(), CatalogError> {
        if issues.is_empty() {
            return Ok(());
        }
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        add(&transaction, migration, phase, issues, max_listed)?;
        Ok(transaction.commit()?)
    }

    /// Adds issues of uploaded records, and takes back those of the records that they replaced, which no longer count.
    /// At most `max_listed` of each stay listed.
    pub fn replace_upload_issues(
        &self,
        migration: Uuid,
        issues: &[ListedIssue],
        superseded: &[SupersededIssues],
        max_listed: u64,
    ) -> Result<(), CatalogError> {
        if issues.is_empty() && superseded.is_empty() {
            return Ok(());
        }
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        supersede(&transaction, migration, superseded, max_listed)?;
        add(&transaction, migration, Phase::Load, issues, max_listed)?;
        Ok(transaction.commit()?)
    }

    /// Clears the issues of a phase before it runs again. At most `max_kept` listed issues remain for the history of
    /// their records. They are not counted any more.
    pub fn clear_issues(&self, migration: Uuid, phase: Phase, max_kept: u64) -> Result<(), CatalogError> {
        self.clear_issues_of(migration, phase, None, max_kept)
    }

    /// Clears the issues of a phase as [`Catalog::clear_issues`] does, of these streams alone if `streams` is given.
    pub fn clear_issues_of(
        &self,
        migration: Uuid,
        phase: Phase,
        streams: Option<&[&str]>,
        max_kept: u64,
    ) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (id, phase, earlier) = (migration.to_string(), phase.as_str(), format!("{EARLIER}{}", phase.as_str()));
        let streams = streams.map(|streams| serde_json::json!(streams).to_string());
        let of = "migration = ?1 AND phase = ?2 AND (?3 IS NULL OR stream IN (SELECT value FROM json_each(?3)))";
        transaction
            .execute(&format!("UPDATE issues SET phase = ?4 WHERE {of}"), params![id, phase, streams, earlier])?;
        forget_earlier(&transaction, &id, &earlier, max_kept)?;
        transaction.execute(&format!("DELETE FROM issue_counts WHERE {of}"), params![id, phase, streams])?;
        Ok(transaction.commit()?)
    }
}
