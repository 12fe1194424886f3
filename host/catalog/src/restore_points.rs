//! Restore points: the moments at which backups of this catalog were taken. A restored catalog does not know what the
//! server did after its restore point.

use jiff::Timestamp;

use super::{Catalog, CatalogError};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS copies (at TEXT NOT NULL);
";

impl Catalog {
    /// Adds a restore point. A backup calls it on its copy of the catalog, because the original server may continue
    /// after `at`.
    pub fn add_restore_point(&self, at: Timestamp) -> Result<(), CatalogError> {
        self.lock().execute("INSERT INTO copies (at) VALUES (?)", [at.to_string()])?;
        Ok(())
    }

    /// Returns true if the catalog comes from a backup that was taken at `then` or later. Work that began at `then` may
    /// have continued in the original server after that backup.
    pub fn has_restore_point_since(&self, then: Timestamp) -> Result<bool, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT at FROM copies")?;
        let moments = query.query_map([], |row| row.get::<_, String>(0))?;
        let moments: Vec<String> = moments.collect::<rusqlite::Result<_>>()?;
        Ok(moments.iter().any(|at| at.parse().is_ok_and(|at: Timestamp| at >= then)))
    }
}
