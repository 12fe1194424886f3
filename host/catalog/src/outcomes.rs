//! What became of each source's records, as it was when they were last counted: it outlives the records.

use rusqlite::params;
use uuid::Uuid;

use super::{Store, StoreError};

/// How many records of a source came to an outcome, and with which code.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceOutcome {
    /// The source.
    pub source: String,
    /// `mapped`, `skipped`, `rejected` or `quarantined`.
    pub outcome: String,
    /// Its code; empty where there is none.
    pub code: String,
    /// How many.
    pub count: u64,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS source_outcomes (
    migration TEXT NOT NULL, source TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (migration, source, outcome, code)
) WITHOUT ROWID;
";

impl Store {
    /// Keeps what became of a migration's source records, in the place of what was kept before.
    pub fn put_outcomes(&self, migration: Uuid, outcomes: &[SourceOutcome]) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let id = migration.to_string();
        transaction.execute("DELETE FROM source_outcomes WHERE migration = ?", [&id])?;
        for SourceOutcome { source, outcome, code, count } in outcomes {
            transaction.execute(
                "INSERT INTO source_outcomes (migration, source, outcome, code, count) VALUES (?, ?, ?, ?, ?)",
                params![id, source, outcome, code, count],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// What became of a migration's source records when they were last counted.
    pub fn outcomes(&self, migration: Uuid) -> Result<Vec<SourceOutcome>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT source, outcome, code, count FROM source_outcomes WHERE migration = ?
             ORDER BY source, outcome, code",
        )?;
        let outcomes = query.query_map([migration.to_string()], |row| {
            Ok(SourceOutcome { source: row.get(0)?, outcome: row.get(1)?, code: row.get(2)?, count: row.get(3)? })
        })?;
        Ok(outcomes.collect::<rusqlite::Result<_>>()?)
    }
}
