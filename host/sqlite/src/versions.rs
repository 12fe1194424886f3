//! Databases of earlier versions are brought forward, one step after the other; those of later ones are refused.

use rusqlite::Connection;

/// A database that a later version of Sluice has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "of version {found}, and this Sluice knows versions up to {known}: start the Sluice that wrote it, or restore a \
     backup from before"
)]
pub struct Newer {
    /// The database's version.
    pub found: i64,
    /// The latest that is known here.
    pub known: i64,
}

/// Refuses a database that was written by a later version than the one these steps lead to.
pub fn refuse_newer(connection: &Connection, steps: &[&str]) -> rusqlite::Result<Result<i64, Newer>> {
    let known = steps.len() as i64;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(if found > known { Err(Newer { found, known }) } else { Ok(found) })
}

/// Brings a database forward. Each of `steps` is what a version has changed of the one before, beside tables and
/// indexes that are new: those are made where they are missing. A new one, without the table `first`, has nothing to be
/// brought forward.
pub fn bring_forward(connection: &mut Connection, first: &str, steps: &[&str]) -> rusqlite::Result<Result<(), Newer>> {
    let transaction = connection.transaction()?;
    let version = match refuse_newer(&transaction, steps)? {
        Ok(version) => version,
        Err(newer) => return Ok(Err(newer)),
    };
    if version == steps.len() as i64 {
        return Ok(Ok(()));
    }
    let begun = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)";
    if transaction.query_row(begun, [first], |row| row.get(0))? {
        steps[version as usize..].iter().try_for_each(|step| transaction.execute_batch(step))?;
    }
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit().map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &["ALTER TABLE first ADD COLUMN b", "UPDATE first SET b = a + 1"];

    /// Databases by their version and whether anything is in them, and what becomes of them.
    #[test]
    fn forward_or_refused() {
        for (version, begun, expected) in
            [(0, false, Ok(2)), (0, true, Ok(2)), (1, true, Ok(2)), (2, true, Ok(2)), (3, true, Err((3, 2)))]
        {
            let mut connection = Connection::open_in_memory().unwrap();
            if begun {
                let columns = if version == 0 { "a" } else { "a, b" };
                connection
                    .execute_batch(&format!("CREATE TABLE first ({columns}); INSERT INTO first (a) VALUES (1)"))
                    .unwrap();
            }
            connection.pragma_update(None, "user_version", version).unwrap();
            let done = bring_forward(&mut connection, "first", STEPS).unwrap();
            let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            let done = done.map(|()| found).map_err(|Newer { found, known }| (found, known));
            assert_eq!(done, expected, "{version} {begun}");
            if begun && version < 2 {
                let b: i64 = connection.query_row("SELECT b FROM first", [], |row| row.get(0)).unwrap();
                assert_eq!(b, 2, "{version}");
            }
        }
    }
}
