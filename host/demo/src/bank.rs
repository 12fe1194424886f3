//! The bank. The same number of customers and the same seed give the same bytes of each table, in any order of the
//! tables. No table is ever held in memory.

use std::io::{self, Write};

use super::expected::{self, ExpectedCounts};
use super::rows::{LegacyTable, TABLES};
use super::spoil::{self, SpoilRate};

/// Length of a chunk in bytes: enough to keep an upload busy, little memory.
const CHUNK: usize = 64 * 1024;

/// Maximum number of customers. With more, numbers of customers and of accounts would overlap.
pub const MAX_CUSTOMERS: u64 = 9_999_999;

/// A synthetic bank. A customer has about thirteen records in ten tables.
#[derive(Clone, Debug)]
pub struct Bank {
    /// Number of customers, at most [`MAX_CUSTOMERS`].
    pub customers: u64,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Rates of spoiled records.
    pub spoil: Vec<SpoilRate>,
}

/// Counts of a table's written lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Number of lines, spoiled or not.
    pub records: u64,
    /// Number of bytes, newlines included.
    pub bytes: u64,
}

/// Returns the names of the tables, in upload order.
pub fn tables() -> impl ExactSizeIterator<Item = &'static str> {
    TABLES.iter().map(|&(name, _)| name)
}

impl Bank {
    /// Returns a table as chunks of complete JSON lines. Returns `None` if the bank has no such table.
    pub fn records(&self, table: &str) -> Option<TableLines> {
        let &(_, table) = TABLES.iter().find(|(name, _)| *name == table)?;
        Some(TableLines { bank: self.clone(), table, step: 0, counts: TableCounts::default() })
    }

    /// Writes a table as JSON lines.
    pub fn write_table(&self, table: &str, out: &mut impl Write) -> io::Result<TableCounts> {
        let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("the bank has no table `{table}`"));
        let mut lines = self.records(table).ok_or_else(unknown)?;
        let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 4);
        while lines.fill(&mut chunk) {
            out.write_all(&chunk)?;
        }
        Ok(lines.counts)
    }

    /// Computes the expected counts of a migration of the bank. Generates every row and writes none.
    pub fn expected(&self) -> ExpectedCounts {
        expected::of(self)
    }
}

/// An iterator over the chunks of a table.
#[derive(Clone, Debug)]
pub struct TableLines {
    bank: Bank,
    table: LegacyTable,
    step: u64,
    counts: TableCounts,
}

impl TableLines {
    /// Replaces the content of `chunk` with the next chunk. Returns false if there is none.
    pub fn fill(&mut self, chunk: &mut Vec<u8>) -> bool {
        chunk.clear();
        let Bank { customers, seed, spoil } = &self.bank;
        let steps = self.table.steps(*customers);
        while chunk.len() < CHUNK && self.step < steps {
            self.step += 1;
            self.table.rows(*seed, self.step, &mut |mut row| {
                let kind = spoil::spoil(*seed, spoil, &mut row);
                self.counts.records += spoil::write(&row, kind, chunk);
            });
        }
        self.counts.bytes += chunk.len() as u64;
        !chunk.is_empty()
    }

    /// Returns the counts of the lines so far.
    pub fn counts(&self) -> TableCounts {
        self.counts
    }
}

impl Iterator for TableLines {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 4);
        self.fill(&mut chunk).then_some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn bank(customers: u64, spoil: &str) -> Bank {
        let spoil = if spoil.is_empty() { vec![] } else { SpoilRate::parse(spoil).expect("valid rates") };
        Bank { customers, seed: 1, spoil }
    }

    fn written(bank: &Bank, table: &str) -> Vec<u8> {
        let mut out = vec![];
        let counts = bank.write_table(table, &mut out).expect("a table");
        assert_eq!(counts.bytes, out.len() as u64);
        assert_eq!(counts.records, out.iter().filter(|&&byte| byte == b'\n').count() as u64);
        out
    }

    fn records(bank: &Bank, table: &str) -> Vec<Value> {
        let lines = written(bank, table);
        let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
    }

    /// Returns an FNV-1a hash, which suffices to detect a changed byte.
    fn fingerprint(bank: &Bank) -> u64 {
        let bytes = tables().flat_map(|table| written(bank, table));
        bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
    }

    #[test]
    fn the_same_bank_is_the_same_bytes() {
        // A change of these values changes the data of every demonstration.
        let cases = [("", 0x74D2_90A4_FF2A_B9B9), ("0.05", 0x9B18_5ACF_61B1_07DF)];
        for (spoil, wanted) in cases {
            assert_eq!(fingerprint(&bank(100, spoil)), wanted, "spoiled {spoil:?}");
        }
        assert_ne!(fingerprint(&bank(100, "")), fingerprint(&Bank { seed: 2, ..bank(100, "") }));
    }

    #[test]
    fn more_customers_change_nothing_about_the_first() {
        for table in tables() {
            let (few, many) = (written(&bank(50, ""), table), written(&bank(3_000, ""), table));
            assert!(many.starts_with(&few), "{table}");
        }
    }

    #[test]
    fn chunks_are_whole_lines_and_make_the_table() {
        let bank = bank(3_000, "not-json=0.1,truncated=0.1");
        let chunks: Vec<Vec<u8>> = bank.records("trans").expect("a table").collect();
        assert!(chunks.len() > 10);
        assert!(chunks.iter().all(|chunk| chunk.ends_with(b"\n") && chunk.len() < 2 * CHUNK));
        assert_eq!(chunks.concat(), written(&bank, "trans"));
    }

    #[test]
    fn a_table_that_is_not_the_banks() {
        assert!(bank(1, "").records("loans").is_none());
        assert!(bank(1, "").write_table("loans", &mut vec![]).is_err());
    }

    /// References: a table, its key, another table, and its field that holds the key.
    const REFERENCES: &[(&str, &str, &str, &str)] = &[
        ("district", "A1", "client", "district_id"),
        ("district", "A1", "account", "district_id"),
        ("client", "client_id", "disp", "client_id"),
        ("account", "account_id", "disp", "account_id"),
        ("disp", "disp_id", "card", "disp_id"),
        ("account", "account_id", "loan", "account_id"),
        ("account", "account_id", "order", "account_id"),
        ("account", "account_id", "trans", "account_id"),
        ("loan", "loan_id", "pledge", "loan_id"),
        ("property", "property_id", "pledge", "property_id"),
        ("client", "client_id", "pledge", "client_id"),
    ];

    #[test]
    fn keys_are_unique_and_every_reference_resolves() {
        let bank = bank(3_000, "");
        for (table, key, from, field) in REFERENCES {
            let number = |record: &Value, field: &str| record[field].as_u64().expect("a number");
            let known = records(&bank, table);
            let keys: BTreeSet<u64> = known.iter().map(|record| number(record, key)).collect();
            assert_eq!(keys.len(), known.len(), "{table}");
            let referring = records(&bank, from);
            assert!(!referring.is_empty(), "{from}");
            assert!(referring.iter().all(|record| keys.contains(&number(record, field))), "{from}.{field}");
        }
    }

    #[test]
    fn a_loan_is_paid_out_once_and_in_full_before_it_is_paid_back() {
        let bank = bank(600, "");
        let loans = records(&bank, "loan");
        let trans = records(&bank, "trans");
        for loan in &loans {
            let of = |symbol: &'static str| {
                trans
                    .iter()
                    .filter(move |trans| trans["account_id"] == loan["account_id"] && trans["k_symbol"] == symbol)
            };
            let paid_out: Vec<_> = of("UVER_VYPLATA").collect();
            assert_eq!(paid_out.len(), 1);
            assert_eq!(paid_out[0]["amount"].as_f64(), loan["amount"].as_f64());
            let back: Vec<_> = of("UVER").chain(of("UVER_MIMO")).collect();
            assert!(back.iter().all(|trans| trans["date"].as_u64() >= loan["date"].as_u64()));
            let sum: f64 = back.iter().filter_map(|trans| trans["amount"].as_f64()).sum();
            assert!(sum <= loan["amount"].as_f64().expect("a number"));
            assert_eq!(loan["status"] == "A", sum == loan["amount"].as_f64().expect("a number"));
        }
    }
}
