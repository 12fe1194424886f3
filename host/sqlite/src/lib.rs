//! Common parts of all databases: schema versions, snapshots, checks of write-ahead logs, and errors.
//!
//! An error carries SQLite's name and number only. SQLite's message can quote a value of a record, so it does not leave
//! this crate.

mod schema_version;
mod snapshot;
mod wal;

use rusqlite::ErrorCode;

pub use schema_version::{CodeStep, NewerVersion, SchemaStep, check_schema_version, upgrade_schema};
pub use snapshot::{Snapshot, SnapshotSource, WriteLock, is_intact, load_into_memory, open_read_only};
pub use wal::check_wal;

/// An error of SQLite, or of reading its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} ({code})")]
pub struct SqlError {
    name: &'static str,
    /// The extended result code. 0 if SQLite itself did not fail.
    code: i32,
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::*;
        let of = |error: rusqlite::ffi::Error| Self { name: name(error.code), code: error.extended_code };
        let own = |name| Self { name, code: 0 };
        match error {
            SqliteFailure(error, _) => of(error),
            SqlInputError { error, .. } => of(error),
            FromSqlConversionFailure(..) | InvalidColumnType(..) | IntegralValueOutOfRange(..) => own("MISFIT"),
            Utf8Error(..) => own("NOT_UTF_8"),
            QueryReturnedNoRows => own("NO_ROW"),
            _ => own("MISUSE"),
        }
    }
}

fn name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InternalMalfunction => "SQLITE_INTERNAL",
        ErrorCode::PermissionDenied => "SQLITE_PERM",
        ErrorCode::OperationAborted => "SQLITE_ABORT",
        ErrorCode::DatabaseBusy => "SQLITE_BUSY",
        ErrorCode::DatabaseLocked => "SQLITE_LOCKED",
        ErrorCode::OutOfMemory => "SQLITE_NOMEM",
        ErrorCode::ReadOnly => "SQLITE_READONLY",
        ErrorCode::OperationInterrupted => "SQLITE_INTERRUPT",
        ErrorCode::SystemIoFailure => "SQLITE_IOERR",
        ErrorCode::DatabaseCorrupt => "SQLITE_CORRUPT",
        ErrorCode::DiskFull => "SQLITE_FULL",
        ErrorCode::CannotOpen => "SQLITE_CANTOPEN",
        ErrorCode::SchemaChanged => "SQLITE_SCHEMA",
        ErrorCode::TooBig => "SQLITE_TOOBIG",
        ErrorCode::ConstraintViolation => "SQLITE_CONSTRAINT",
        ErrorCode::TypeMismatch => "SQLITE_MISMATCH",
        ErrorCode::NotADatabase => "SQLITE_NOTADB",
        _ => "SQLITE_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// Statements that fail because of a value, and their errors.
    const FAILING: &[(&str, &str)] = &[
        ("INSERT INTO people VALUES ('Novak', 7)", "SQLITE_CONSTRAINT (1555)"),
        ("INSERT INTO people VALUES ('Vesela', 'Novak')", "SQLITE_CONSTRAINT (275)"),
        ("INSERT INTO people VALUES ('Novak' 7)", "SQLITE_ERROR (1)"),
        ("SELECT Novak FROM people", "SQLITE_ERROR (1)"),
        ("SELECT json('Novak')", "SQLITE_ERROR (1)"),
    ];

    #[test]
    fn no_error_quotes_a_value() {
        let database = Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE people (name TEXT PRIMARY KEY, age CHECK (typeof(age) = 'integer')) WITHOUT ROWID;
                      INSERT INTO people VALUES ('Novak', 7)";
        database.execute_batch(schema).unwrap();
        for (statement, expected) in FAILING {
            let run = database.query_row(statement, [], |row| row.get::<_, String>(0));
            let error = SqlError::from(run.unwrap_err());
            assert_eq!(error.to_string(), *expected, "{statement}");
            assert!(!format!("{error:?}").contains("Novak"), "{statement}");
        }
        let misfit = database.query_row("SELECT name FROM people", [], |row| row.get::<_, i64>(0)).unwrap_err();
        assert_eq!(SqlError::from(misfit).to_string(), "MISFIT (0)");
    }
}
