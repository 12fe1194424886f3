//! Schema versions: databases of earlier versions are upgraded step by step, those of later versions are refused.

use rusqlite::Connection;

/// An error: a later version of Sluice wrote the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "of version {found}, and this Sluice knows versions up to {known}: start the Sluice that wrote it, or restore an \
     earlier backup"
)]
pub struct NewerVersion {
    /// Version of the database.
    pub found: i64,
    /// Latest version that this Sluice knows.
    pub known: i64,
}

/// A change of a database from one version to the next.
pub trait SchemaStep {
    /// Changes the database. The caller's transaction holds the change.
    fn run(&self, connection: &Connection) -> rusqlite::Result<()>;
}

impl SchemaStep for &str {
    fn run(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(self)
    }
}

/// A step that needs more than SQL statements.
pub type CodeStep<'a> = &'a dyn Fn(&Connection) -> rusqlite::Result<()>;

impl SchemaStep for CodeStep<'_> {
    fn run(&self, connection: &Connection) -> rusqlite::Result<()> {
        self(connection)
    }
}

/// Returns the version of a database, or an error if it is later than the version that this many steps lead to.
pub fn check_schema_version(connection: &Connection, steps: usize) -> rusqlite::Result<Result<i64, NewerVersion>> {
    let known = steps as i64;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(if found > known { Err(NewerVersion { found, known }) } else { Ok(found) })
}

/// Upgrades a database to the version that `steps` lead to. Each step is the change from one version to the next. New
/// tables and indexes are not part of a step: the caller creates them if they are missing. A new database, which lacks
/// the table `first`, gets the version without the steps.
pub fn upgrade_schema(
    connection: &mut Connection,
    first: &str,
    steps: &[impl SchemaStep],
) -> rusqlite::Result<Result<(), NewerVersion>> {
    let transaction = connection.transaction()?;
    let version = match check_schema_version(&transaction, steps.len())? {
        Ok(version) => version,
        Err(newer) => return Ok(Err(newer)),
    };
    if version == steps.len() as i64 {
        return Ok(Ok(()));
    }
    let has_tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)";
    if transaction.query_row(has_tables, [first], |row| row.get(0))? {
        steps[version as usize..].iter().try_for_each(|step| step.run(&transaction))?;
    }
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit().map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &["ALTER TABLE first ADD COLUMN b", "UPDATE first SET b = a + 1"];

    /// Databases by their version and whether they have tables, and the expected results.
    #[test]
    fn upgraded_or_refused() {
        for (version, has_tables, expected) in
            [(0, false, Ok(2)), (0, true, Ok(2)), (1, true, Ok(2)), (2, true, Ok(2)), (3, true, Err((3, 2)))]
        {
            let mut connection = Connection::open_in_memory().unwrap();
            if has_tables {
                let columns = if version == 0 { "a" } else { "a, b" };
                connection
                    .execute_batch(&format!("CREATE TABLE first ({columns}); INSERT INTO first (a) VALUES (1)"))
                    .unwrap();
            }
            connection.pragma_update(None, "user_version", version).unwrap();
            let done = upgrade_schema(&mut connection, "first", STEPS).unwrap();
            let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            let done = done.map(|()| found).map_err(|NewerVersion { found, known }| (found, known));
            assert_eq!(done, expected, "{version} {has_tables}");
            if has_tables && version < 2 {
                let b: i64 = connection.query_row("SELECT b FROM first", [], |row| row.get(0)).unwrap();
                assert_eq!(b, 2, "{version}");
            }
        }
    }
}
