//! Schema changes between the versions of the catalog.

/// Changes from each version of the catalog to the next. New tables and indexes are not part of them: opening a catalog
/// creates them if they are missing.
pub(super) const STEPS: &[&str] = &[
    "ALTER TABLE migrations ADD COLUMN target TEXT",
    "ALTER TABLE migrations ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE issues ADD COLUMN upload INTEGER",
    "ALTER TABLE issues ADD COLUMN first_line INTEGER",
    "ALTER TABLE jobs ADD COLUMN client TEXT",
    // Entries of a log are numbered by migration. Earlier ones keep their numbers, so that a client that reconnects gets none
    // twice.
    "ALTER TABLE logs ADD COLUMN sequence INTEGER;
     UPDATE logs SET sequence = number;
     DROP INDEX IF EXISTS logs_of_migration;
     CREATE TABLE log_numbers (migration TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
     INSERT INTO log_numbers SELECT migration, max(number) FROM logs GROUP BY migration",
];

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::{Catalog, CatalogError};
    use sluice_model::{DOMAINS, Tenant};

    /// Opening a catalog of version 0 upgrades it and keeps its migrations. A catalog of a later version is refused.
    #[test]
    fn an_older_catalog_is_upgraded() {
        let temp_dir = tempfile::tempdir().unwrap();
        let path = temp_dir.path().join("catalogue.db");
        let id = {
            let catalog = Catalog::open(&path).unwrap();
            catalog
                .register(
                    uuid::Uuid::new_v4(),
                    Tenant::default_tenant(),
                    vec![&DOMAINS[0]],
                    None,
                    None,
                    jiff::Timestamp::UNIX_EPOCH,
                )
                .unwrap()
                .reference_id
        };
        let older = Connection::open(&path).unwrap();
        let undo = "ALTER TABLE migrations DROP COLUMN target; ALTER TABLE migrations DROP COLUMN acknowledged;
                    ALTER TABLE issues DROP COLUMN upload; ALTER TABLE issues DROP COLUMN first_line;
                    ALTER TABLE jobs DROP COLUMN client; DROP INDEX logs_by_sequence;
                    ALTER TABLE logs DROP COLUMN sequence; DROP TABLE log_numbers;
                    PRAGMA user_version = 0";
        older.execute_batch(undo).unwrap();
        drop(older);
        for _ in 0..2 {
            let catalog = Catalog::open(&path).unwrap();
            assert_eq!(catalog.migration(id).unwrap().unwrap().target, None);
            assert_eq!(catalog.acknowledged(id).unwrap(), 0);
        }
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 1_000).unwrap();
        assert!(matches!(Catalog::open(&path), Err(CatalogError::NewerVersion(newer)) if newer.found == 1_000));
    }
}
