//! Outcomes of source records, as last counted. They outlive the records.

use rusqlite::params;
use uuid::Uuid;

use super::{Catalog, CatalogError};

/// The number of records of a source that have an outcome and a code.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceOutcomeCount {
    /// Name of the source.
    pub source: String,
    /// Outcome: `mapped`, `skipped`, `rejected` or `quarantined`.
    pub outcome: String,
    /// Code of the outcome. Empty if there is none.
    pub code: String,
    /// Number of records.
    pub count: u64,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS source_outcomes (
    migration TEXT NOT NULL, source TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (migration, source, outcome, code)
) WITHOUT ROWID;
";

impl Catalog {
    /// Stores the outcomes of a migration's source records. Replaces the previous ones.
    pub fn put_source_outcomes(&self, migration: Uuid, outcomes: &[SourceOutcomeCount]) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let id = migration.to_string();
        transaction.execute("DELETE FROM source_outcomes WHERE migration = ?", [&id])?;
        for SourceOutcomeCount { source, outcome, code, count } in outcomes {
            transaction.execute(
                "INSERT INTO source_outcomes (migration, source, outcome, code, count) VALUES (?, ?, ?, ?, ?)",
                params![id, source, outcome, code, count],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Returns the outcomes of a migration's source records, as last counted.
    pub fn source_outcomes(&self, migration: Uuid) -> Result<Vec<SourceOutcomeCount>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT source, outcome, code, count FROM source_outcomes WHERE migration = ?
             ORDER BY source, outcome, code",
        )?;
        let outcomes = query.query_map([migration.to_string()], |row| {
            Ok(SourceOutcomeCount { source: row.get(0)?, outcome: row.get(1)?, code: row.get(2)?, count: row.get(3)? })
        })?;
        Ok(outcomes.collect::<rusqlite::Result<_>>()?)
    }
}
