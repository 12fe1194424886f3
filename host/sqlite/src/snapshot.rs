//! A database as it is at one moment, read and copied while others write to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::SqlError;

/// Pages copied at a time: 4 MiB, after which progress is told.
const PAGES: i32 = 1024;

/// Longest wait for whoever is writing. Transactions are short.
const PATIENCE: Duration = Duration::from_secs(60);

fn existing(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// A database that is open, so that nothing has to be waited for when the moment comes.
pub struct Ready(Connection);

impl Ready {
    /// Opens the database in this file, which has to be there.
    pub fn open(path: &Path) -> Result<Self, SqlError> {
        let connection = existing(path)?;
        connection.query_row(FIRST_READ, [], |_| Ok(()))?;
        Ok(Self(connection))
    }

    /// What it is now.
    pub fn now(self) -> Result<Snapshot, SqlError> {
        self.0.execute_batch("BEGIN")?;
        // A transaction begins with what it first reads.
        self.0.query_row(FIRST_READ, [], |_| Ok(()))?;
        Ok(Snapshot(self.0))
    }
}

const FIRST_READ: &str = "SELECT count(*) FROM sqlite_schema";

/// What a database was at a moment. Others go on writing, to its write-ahead log, which is not emptied meanwhile.
pub struct Snapshot(Connection);

impl Snapshot {
    /// The database in this file, which has to be there, as it is now.
    pub fn of(path: &Path) -> Result<Self, SqlError> {
        Ready::open(path)?.now()
    }

    /// Bytes of it.
    pub fn bytes(&self) -> Result<u64, SqlError> {
        let pragma = |name: &str| self.0.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        Ok(pragma("page_count")? * pragma("page_size")?)
    }

    /// Copies it into a new file, durably.
    pub fn copy_to(&self, path: &Path, copied: &mut dyn FnMut(u64)) -> Result<(), SqlError> {
        Ok(copy(&self.0, &mut Connection::open(path)?, copied)?)
    }
}

/// Keeps others from writing to a database, for as long as it lives; they wait.
pub struct Still(#[expect(dead_code, reason = "what holds the lock")] Connection);

impl Still {
    /// Waits for whoever is writing, and then keeps everybody from it.
    pub fn hold(path: &Path) -> Result<Self, SqlError> {
        let connection = existing(path)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }
}

/// Opens a database that somebody has kept, only to read it. A copy without a write-ahead log beside it is taken as
/// complete, so that nothing is written next to it, and its folder may be read-only.
pub fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let how = if Path::new(&log).exists() { "mode=ro" } else { "mode=ro&immutable=1" };
    Connection::open_with_flags(
        format!("file:{}?{how}", percent_encoded(path)),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )
}

/// A database in memory that is what this file holds.
pub fn in_memory(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    copy(&open_read_only(path)?, &mut connection, &mut |_| {})?;
    Ok(connection)
}

/// Whether SQLite finds everything in its place in a kept database.
pub fn is_sound(path: &Path) -> Result<bool, SqlError> {
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
            // Nobody else has the copy open, and the original is only read.
            _ => return Err(rusqlite::Error::InvalidQuery),
        }
    }
}

/// A path as part of a URI, whatever stands in it.
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

    /// A snapshot is what was there at its moment, and while a database is kept still, nobody writes to it; with more
    /// pages than are copied at a time.
    #[test]
    fn as_it_was_at_that_moment() {
        let held = tempfile::tempdir().unwrap();
        let [path, to] = ["a b%?.db", "copy.db"].map(|name| held.path().join(name));
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute_batch("CREATE TABLE rows (filler BLOB)").unwrap();
        let add = || writer.execute("INSERT INTO rows VALUES (zeroblob(1000000))", []);
        (0..10).for_each(|_| assert_eq!(add().unwrap(), 1));
        let still = Still::hold(&path).unwrap();
        assert!(add().is_err(), "nobody writes");
        let snapshot = Snapshot::of(&path).unwrap();
        drop(still);
        (0..10).for_each(|_| assert_eq!(add().unwrap(), 1));
        let mut copied = 0;
        snapshot.copy_to(&to, &mut |bytes| copied += bytes).unwrap();
        assert_eq!(copied, snapshot.bytes().unwrap());
        let count = |connection: &Connection| -> u64 {
            connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(
            (count(&open_read_only(&to).unwrap()), count(&in_memory(&to).unwrap()), count(&writer)),
            (10, 10, 20)
        );
        assert_eq!(
            std::fs::read_dir(held.path()).unwrap().count(),
            4,
            "nothing beside the copy; a log and its index beside the other"
        );
        assert!(is_sound(&to).unwrap());
        let mut bytes = std::fs::read(&to).unwrap();
        bytes[4096..4196].fill(7);
        std::fs::write(&to, bytes).unwrap();
        assert!(!is_sound(&to).unwrap_or(false));
        assert!(Snapshot::of(&held.path().join("none")).is_err() && Still::hold(&held.path().join("none")).is_err());
    }
}
