//! What the versions of the catalogue have changed.

/// What each version of the catalogue has changed of the one before, beside tables and indexes that are new: those
/// are made where they are missing.
pub(super) const STEPS: &[&str] = &[
    "ALTER TABLE migrations ADD COLUMN target TEXT",
    "ALTER TABLE migrations ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0",
];

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::{Store, StoreError};
    use sluice_model::{DOMAINS, Tenant};

    /// A catalogue as it was before targets: its migrations are still there, and new ones can have one.
    #[test]
    fn an_older_catalogue_is_brought_forward() {
        let held = tempfile::tempdir().unwrap();
        let path = held.path().join("catalogue.db");
        let id = {
            let store = Store::open(&path).unwrap();
            store
                .register(
                    uuid::Uuid::new_v4(),
                    Tenant::only(),
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
                    PRAGMA user_version = 0";
        older.execute_batch(undo).unwrap();
        drop(older);
        for _ in 0..2 {
            let store = Store::open(&path).unwrap();
            assert_eq!(store.migration(id).unwrap().unwrap().target, None);
            assert_eq!(store.acknowledged(id).unwrap(), 0);
        }
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 1_000).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Newer(newer)) if newer.found == 1_000));
    }
}
