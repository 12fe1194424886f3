//! Whether SQLite would pass over transactions of a write-ahead log in silence: it stops at the first frame that is broken.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// A write-ahead log that is damaged before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its write-ahead log is damaged at byte {offset}, and what was committed after that would be lost: put the data \
     directory back from a backup"
)]
pub struct LogDamage {
    /// Where the first broken frame begins.
    pub offset: u64,
}

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The last bit says that checksums are over big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// Looks through the log of the database at `path`, if there is one.
///
/// A crash may leave one transaction that is torn: the last, as each is synced before the next is written. So two that
/// are whole, follow each other, and follow a broken frame, are damage. Layout: <https://sqlite.org/fileformat2.html#walformat>.
pub fn check_log(path: &Path) -> io::Result<Option<LogDamage>> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // Another process may be writing, as `sluice client` does: what is damaged is so a second time.
    match damage(Path::new(&log))? {
        None => Ok(None),
        Some(_) => damage(Path::new(&log)),
    }
}

type Sums = (u32, u32);

/// SQLite's checksum of these bytes, begun with `sums`.
fn checksum(big: bool, mut sums: Sums, bytes: &[u8]) -> Sums {
    let word = |bytes: [u8; 4]| if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    for pair in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
        sums.0 = sums.0.wrapping_add(word(pair[0])).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(word(pair[1])).wrapping_add(sums.0);
    }
    sums
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// Fills the buffer; `false` where the file ends before.
fn filled(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn damage(log: &Path) -> io::Result<Option<LogDamage>> {
    let mut file = match File::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => BufReader::new(file?),
    };
    let mut header = [0; HEADER_BYTES];
    if !filled(&mut file, &mut header)? || u32_at(&header, 0) & !1 != MAGIC {
        return Ok(None);
    }
    let (big, page) = (u32_at(&header, 0) & 1 == 1, u32_at(&header, 8) as usize);
    let mut sums = checksum(big, (0, 0), &header[..24]);
    // Begun and not written whole: nothing was in it.
    if sums != (u32_at(&header, 24), u32_at(&header, 28)) || !(512..=65_536).contains(&page) {
        return Ok(None);
    }
    let (mut frame, mut at) = (vec![0; FRAME_HEADER_BYTES + page], HEADER_BYTES as u64);
    // The first broken frame, and how many transactions end in frames that follow each other from the last broken one on:
    // the checksum of each goes into that of the next.
    let (mut broken, mut committed) = (None, 0);
    while filled(&mut file, &mut frame)? {
        // What is left of the time before the log was begun anew has other salts.
        let ours = frame[8..16] == header[16..24];
        let commits = u64::from(ours && u32_at(&frame, 4) != 0);
        let stored = (u32_at(&frame, 16), u32_at(&frame, 20));
        let found = checksum(big, checksum(big, sums, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
        if !ours || found != stored {
            broken = broken.or(Some(at));
            committed = commits;
        } else if let Some(offset) = broken {
            committed += commits;
            if committed > 1 {
                return Ok(Some(LogDamage { offset }));
            }
        }
        (sums, at) = (stored, at + frame.len() as u64);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    const ROWS: u64 = 8;

    fn connect(path: &Path) -> Connection {
        let database = Connection::open(path).unwrap();
        let how = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL; PRAGMA cache_size = 2";
        database.execute_batch(how).unwrap();
        database
    }

    /// Puts a database and its log elsewhere, as somebody finds them after a crash.
    fn left(path: &Path, database: &[u8], log: &[u8]) {
        std::fs::write(path, database).unwrap();
        std::fs::write(path.with_extension("db-wal"), log).unwrap();
        let _ = std::fs::remove_file(path.with_extension("db-shm"));
    }

    /// Whatever is wrong, either SQLite finds all that was committed but for the last transaction, or it is told; what a
    /// crash leaves is never told.
    #[test]
    fn nothing_but_the_last_transaction_goes_in_silence() {
        let held = tempfile::tempdir().unwrap();
        let (path, copy) = (held.path().join("whole.db"), held.path().join("copy.db"));
        let database = connect(&path);
        database.execute_batch("CREATE TABLE rows (body BLOB); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        for row in 0..ROWS {
            // What is rolled back leaves frames behind the end.
            let rolled_back =
                "BEGIN; INSERT INTO rows SELECT zeroblob(3000) FROM (VALUES (1), (2), (3), (4), (5), (6)); ROLLBACK";
            database.execute_batch(rolled_back).unwrap();
            database.execute("INSERT INTO rows VALUES (randomblob(?))", [100 + row * 900]).unwrap();
        }
        let [whole, log] = [&path, &path.with_extension("db-wal")].map(|file| std::fs::read(file).unwrap());
        let found = |log: &[u8]| {
            left(&copy, &whole, log);
            let told = check_log(&copy).unwrap().is_some();
            let rows: u64 = connect(&copy).query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap();
            (told, rows)
        };
        assert_eq!(found(&log), (false, ROWS));
        for length in (0..log.len()).step_by(1_511) {
            assert!(!found(&log[..length]).0, "cut at {length}");
        }
        let mut many = [0; 2];
        for at in (HEADER_BYTES..log.len()).step_by(211) {
            let mut flipped = log.clone();
            flipped[at] ^= 0x10;
            let (told, rows) = found(&flipped);
            // Where the checksum itself is broken that two are whole is not known of the last but one.
            assert!(if told { rows < ROWS - 1 } else { rows + 2 >= ROWS }, "flipped at {at}: {rows} rows");
            many[usize::from(told)] += 1;
        }
        assert!(many.iter().all(|many| *many > 10), "{many:?}");
        assert_eq!(check_log(&held.path().join("none.db")).unwrap(), None);
    }
}
