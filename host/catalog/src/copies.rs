//! Of which moments a catalogue is a copy: what was done outside of it since, it does not know.

use jiff::Timestamp;

use super::{Store, StoreError};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS copies (at TEXT NOT NULL);
";

impl Store {
    /// Notes that this is a copy, of this moment: the server that it was made of may go on.
    pub fn note_copy(&self, at: Timestamp) -> Result<(), StoreError> {
        self.lock().execute("INSERT INTO copies (at) VALUES (?)", [at.to_string()])?;
        Ok(())
    }

    /// Whether what was begun then may have gone on elsewhere, after a copy was made that this catalogue comes from.
    pub fn is_copied_since(&self, then: Timestamp) -> Result<bool, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT at FROM copies")?;
        let moments = query.query_map([], |row| row.get::<_, String>(0))?;
        let moments: Vec<String> = moments.collect::<rusqlite::Result<_>>()?;
        Ok(moments.iter().any(|at| at.parse().is_ok_and(|at: Timestamp| at >= then)))
    }
}
