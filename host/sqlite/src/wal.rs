//! Checks of write-ahead logs. SQLite stops reading a log at the first broken frame and ignores later transactions
//! without an error.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Damage of a write-ahead log before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its write-ahead log is damaged at byte {offset}, and later transactions would be lost: restore the data directory \
     from a backup"
)]
pub struct WalDamage {
    /// Offset of the first broken frame in bytes.
    pub offset: u64,
}

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Magic number of a log. Its last bit is set if checksums are over big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// Checks the write-ahead log of the database at `path`. Returns its damage, or `None`.
///
/// A crash may tear the last transaction only, because SQLite syncs each transaction before it writes the next. So a
/// broken frame followed by two complete transactions is damage. Layout:
/// <https://sqlite.org/fileformat2.html#walformat>.
pub fn check_wal(path: &Path) -> io::Result<Option<WalDamage>> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // Another process, such as `sluice client`, may be writing. Real damage is found a second time.
    match damage(Path::new(&log))? {
        None => Ok(None),
        Some(_) => damage(Path::new(&log)),
    }
}

type Sums = (u32, u32);

/// Returns SQLite's checksum of these bytes, continued from `sums`.
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

/// Fills the buffer. Returns false if the file ends before.
fn filled(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn damage(log: &Path) -> io::Result<Option<WalDamage>> {
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
    // The header is torn, so the log holds no transaction.
    if sums != (u32_at(&header, 24), u32_at(&header, 28)) || !(512..=65_536).contains(&page) {
        return Ok(None);
    }
    let (mut frame, mut at) = (vec![0; FRAME_HEADER_BYTES + page], HEADER_BYTES as u64);
    // The first broken frame, and the number of transactions that end in consecutive valid frames after the last broken
    // one. The checksum of each frame continues that of the previous frame.
    let (mut broken, mut committed) = (None, 0);
    while filled(&mut file, &mut frame)? {
        // Frames that remain from before the log was restarted have other salts.
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
                return Ok(Some(WalDamage { offset }));
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

    /// Writes a database and its log to another place, as a crash leaves them.
    fn restore(path: &Path, database: &[u8], log: &[u8]) {
        std::fs::write(path, database).unwrap();
        std::fs::write(path.with_extension("db-wal"), log).unwrap();
        let _ = std::fs::remove_file(path.with_extension("db-shm"));
    }

    /// For each damaged log, either SQLite reads every transaction except the last, or the check reports damage. The
    /// check never reports a log that a crash left.
    #[test]
    fn only_the_last_transaction_may_be_lost_without_a_report() {
        let temp_dir = tempfile::tempdir().unwrap();
        let (path, copy) = (temp_dir.path().join("whole.db"), temp_dir.path().join("copy.db"));
        let database = connect(&path);
        database.execute_batch("CREATE TABLE rows (body BLOB); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        for row in 0..ROWS {
            // A rolled back transaction leaves frames after the end.
            let rolled_back =
                "BEGIN; INSERT INTO rows SELECT zeroblob(3000) FROM (VALUES (1), (2), (3), (4), (5), (6)); ROLLBACK";
            database.execute_batch(rolled_back).unwrap();
            database.execute("INSERT INTO rows VALUES (randomblob(?))", [100 + row * 900]).unwrap();
        }
        let [whole, log] = [&path, &path.with_extension("db-wal")].map(|file| std::fs::read(file).unwrap());
        let found = |log: &[u8]| {
            restore(&copy, &whole, log);
            let reported = check_wal(&copy).unwrap().is_some();
            let rows: u64 = connect(&copy).query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap();
            (reported, rows)
        };
        assert_eq!(found(&log), (false, ROWS));
        for length in (0..log.len()).step_by(1_511) {
            assert!(!found(&log[..length]).0, "cut at {length}");
        }
        let mut many = [0; 2];
        for at in (HEADER_BYTES..log.len()).step_by(211) {
            let mut flipped = log.clone();
            flipped[at] ^= 0x10;
            let (reported, rows) = found(&flipped);
            // A broken checksum invalidates the frame after it too, so the last but one transaction may be lost.
            assert!(if reported { rows < ROWS - 1 } else { rows + 2 >= ROWS }, "flipped at {at}: {rows} rows");
            many[usize::from(reported)] += 1;
        }
        assert!(many.iter().all(|many| *many > 10), "{many:?}");
        assert_eq!(check_wal(&temp_dir.path().join("none.db")).unwrap(), None);
    }
}
