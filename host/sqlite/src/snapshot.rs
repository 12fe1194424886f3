//! Snapshots: a database at one moment, read and copied while other connections write to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::SqlError;

/// Number of pages that are copied at a time: 4 MiB. Progress is reported after each.
const PAGES: i32 = 1024;

/// Maximum wait for a writer. Transactions are short.
const WRITER_TIMEOUT: Duration = Duration::from_secs(60);

fn existing(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(WRITER_TIMEOUT)?;
    Ok(connection)
}

/// An open database of which a snapshot can be taken without delay.
pub struct SnapshotSource(Connection);

impl SnapshotSource {
    /// Opens the database in this file, which must exist.
    pub fn open(path: &Path) -> Result<Self, SqlError> {
        let connection = existing(path)?;
        connection.query_row(FIRST_READ, [], |_| Ok(()))?;
        Ok(Self(connection))
    }

    /// Takes a snapshot of the current state.
    pub fn snapshot(self) -> Result<Snapshot, SqlError> {
        self.0.execute_batch("BEGIN")?;
        // A transaction sees the state of its first read.
        self.0.query_row(FIRST_READ, [], |_| Ok(()))?;
        Ok(Snapshot(self.0))
    }
}

/// Query that reads the database, so that a transaction begins.
const FIRST_READ: &str = "SELECT count(*) FROM sqlite_schema";

/// A snapshot of a database. Other connections continue to write to the write-ahead log, which SQLite does not empty
/// while the snapshot exists.
pub struct Snapshot(Connection);

impl Snapshot {
    /// Takes a snapshot of the database in this file, which must exist.
    pub fn of(path: &Path) -> Result<Self, SqlError> {
        SnapshotSource::open(path)?.snapshot()
    }

    /// Returns the length of the database in bytes.
    pub fn bytes(&self) -> Result<u64, SqlError> {
        let pragma = |name: &str| self.0.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        Ok(pragma("page_count")? * pragma("page_size")?)
    }

    /// Copies the snapshot to a new file, durably. Calls `copied` with the number of bytes of each step.
    pub fn copy_to(&self, path: &Path, copied: &mut dyn FnMut(u64)) -> Result<(), SqlError> {
        Ok(copy(&self.0, &mut Connection::open(path)?, copied)?)
    }
}

/// A lock that makes other writers of a database wait while it exists.
pub struct WriteLock(#[expect(dead_code, reason = "the connection holds the lock")] Connection);

impl WriteLock {
    /// Waits for the current writer and acquires the lock.
    pub fn acquire(path: &Path) -> Result<Self, SqlError> {
        let connection = existing(path)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }
}

/// Opens a database to read it. A database without a write-ahead log beside it is opened as immutable, so SQLite writes
/// nothing beside it and its folder may be read-only.
pub fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let how = if Path::new(&log).exists() { "mode=ro" } else { "mode=ro&immutable=1" };
    Connection::open_with_flags(
        format!("file:{}?{how}", percent_encoded(path)),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )
}

/// Loads the database of this file into memory.
pub fn load_into_memory(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    copy(&open_read_only(path)?, &mut connection, &mut |_| {})?;
    Ok(connection)
}

/// Returns true if SQLite's quick check finds no damage in a database.
pub fn is_intact(path: &Path) -> Result<bool, SqlError> {
    let found: String = open_read_only(path)?.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(found == "ok")
}

fn copy(from: &Connection, to: &mut Connection, copied: &mut dyn FnMut(u64)) -> rusqlite::Result<()> {
    let page: u64 = from.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let backup = Backup::new(from, to)?;
    let mut left = None;
    loop {
        let step = backup.step(PAGES)?;
        let progress = backup.progress();
        let before = left.replace(progress.remaining).unwrap_or(progress.pagecount);
        copied(u64::from(before.saturating_sub(progress.remaining).unsigned_abs()) * page);
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // No other connection has the copy open, and the original is only read.
            _ => return Err(rusqlite::Error::InvalidQuery),
        }
    }
}

/// Encodes a path for a URI.
fn percent_encoded(path: &Path) -> String {
    let encoded = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot holds the state of its moment, and no connection writes while the lock is held. The database has more
    /// pages than are copied at a time.
    #[test]
    fn snapshot_holds_the_state_of_its_moment() {
        let temp_dir = tempfile::tempdir().unwrap();
        let [path, to] = ["a b%?.db", "copy.db"].map(|name| temp_dir.path().join(name));
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute_batch("CREATE TABLE rows (filler BLOB)").unwrap();
        let add = || writer.execute("INSERT INTO rows VALUES (zeroblob(1000000))", []);
        (0..10).for_each(|_| assert_eq!(add().unwrap(), 1));
        let lock = WriteLock::acquire(&path).unwrap();
        assert!(add().is_err(), "the lock excludes writers");
        let snapshot = Snapshot::of(&path).unwrap();
        drop(lock);
        (0..10).for_each(|_| assert_eq!(add().unwrap(), 1));
        let mut copied = 0;
        snapshot.copy_to(&to, &mut |bytes| copied += bytes).unwrap();
        assert_eq!(copied, snapshot.bytes().unwrap());
        let count = |connection: &Connection| -> u64 {
            connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(
            (count(&open_read_only(&to).unwrap()), count(&load_into_memory(&to).unwrap()), count(&writer)),
            (10, 10, 20)
        );
        assert_eq!(
            std::fs::read_dir(temp_dir.path()).unwrap().count(),
            4,
            "nothing beside the copy; a log and its index beside the other"
        );
        assert!(is_intact(&to).unwrap());
        let mut bytes = std::fs::read(&to).unwrap();
        bytes[4096..4196].fill(7);
        std::fs::write(&to, bytes).unwrap();
        assert!(!is_intact(&to).unwrap_or(false));
        assert!(
            Snapshot::of(&temp_dir.path().join("none")).is_err()
                && WriteLock::acquire(&temp_dir.path().join("none")).is_err()
        );
    }
}
