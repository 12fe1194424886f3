//! Schema changes between the versions of the catalog.

/// Changes from each version of the catalog to the next. New tables and indexes are not part of them: opening a catalog
/// creates them if they are missing.
pub(super) const STEPS: &[&str] = &[
    "ALTER TABLE migrations ADD COLUMN target TEXT",
    "ALTER TABLE migrations ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE issues ADD COLUMN upload INTEGER",
    "ALTER TABLE issues ADD COLUMN first_line INTEGER",
    "ALTER TABLE migrations ADD COLUMN label TEXT",
    "ALTER TABLE clients ADD COLUMN label TEXT",
    "ALTER TABLE jobs ADD COLUMN domains TEXT",
    // Entries were numbered across all migrations. They keep their numbers, which clients may have received.
    "CREATE TABLE log_numbers (migration TEXT PRIMARY KEY, entries INTEGER NOT NULL) WITHOUT ROWID;
     ALTER TABLE logs ADD COLUMN entry INTEGER NOT NULL DEFAULT 0;
     UPDATE logs SET entry = number;
     INSERT INTO log_numbers SELECT migration, max(entry) FROM logs GROUP BY migration",
    "ALTER TABLE jobs ADD COLUMN client TEXT",
];

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::{Catalog, CatalogError, LogEntry};
    use sluice_model::{DOMAINS, Level, Tenant};

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
        Catalog::open(&path).unwrap().log(id, &LogEntry::new(Level::Info, "FIRST")).unwrap();
        let undo = "ALTER TABLE migrations DROP COLUMN target; ALTER TABLE migrations DROP COLUMN acknowledged;
                    ALTER TABLE issues DROP COLUMN upload; ALTER TABLE issues DROP COLUMN first_line;
                    ALTER TABLE jobs DROP COLUMN client;
                    ALTER TABLE migrations DROP COLUMN label; ALTER TABLE clients DROP COLUMN label;
                    ALTER TABLE jobs DROP COLUMN domains; DROP TABLE log_numbers;
                    DROP INDEX log_entries_of_migration; ALTER TABLE logs DROP COLUMN entry;
                    UPDATE sqlite_sequence SET seq = 40 WHERE name = 'logs';
                    INSERT INTO logs (migration, at, severity, code, figures) VALUES ('{id}', '', '', 'OLD', '{}');
                    PRAGMA user_version = 0";
        older.execute_batch(&undo.replace("{id}", &id.to_string())).unwrap();
        drop(older);
        for _ in 0..2 {
            let catalog = Catalog::open(&path).unwrap();
            assert_eq!(catalog.migration(id).unwrap().unwrap().target, None);
            assert_eq!(catalog.acknowledged(id).unwrap(), 0);
            let numbers = |after| {
                let entries = catalog.logs_after(id, after, None, 10).unwrap();
                entries.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
            };
            assert_eq!((numbers(1), catalog.last_log(id).unwrap()), (vec![41], 41), "entries keep their numbers");
        }
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 1_000).unwrap();
        assert!(matches!(Catalog::open(&path), Err(CatalogError::NewerVersion(newer)) if newer.found == 1_000));
    }
}
