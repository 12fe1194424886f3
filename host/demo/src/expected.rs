//! Expected counts of a migration of the bank: records of each table, domain records and their sums.

use super::bank::Bank;
use super::rows::{ENTITY_TYPES, Entity, LegacyRow, LegacyTable, TABLES};
use super::spoil::{SPOIL_KINDS, SpoilKind, SpoilOutcome, spoil};

/// The expected counts of a migration of a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedCounts {
    /// Counts by table, in upload order.
    pub tables: Vec<TableCount>,
    /// Counts by entity type, in order of import.
    pub entities: Vec<EntityCount>,
    /// Number of spoiled records by name of the kind.
    pub spoiled: Vec<(&'static str, u64)>,
}

/// The expected counts of a table. Every line is skipped, rejected, repeated or staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCount {
    /// Name of the table.
    pub table: &'static str,
    /// Number of lines.
    pub records: u64,
    /// Number of lines that the mapper skips.
    pub skipped: u64,
    /// Number of lines that are rejected because of an error.
    pub rejected: u64,
    /// Number of lines that repeat the previous line.
    pub repeated: u64,
}

/// The expected counts of an entity type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntityCount {
    /// Name of the entity type.
    pub entity_type: &'static str,
    /// Number of staged records.
    pub staged: u64,
    /// Sum of their amounts in hundredths of a crown.
    pub amount: u64,
    /// Number of staged records in which validation finds an error: spoiled ones, and those that refer to a rejected
    /// record.
    pub invalid: u64,
    /// Number of records that can be imported: staged ones that are not invalid and do not refer to an invalid record.
    pub sound: u64,
    /// Sum of their amounts in hundredths of a crown.
    pub sound_amount: u64,
}

impl ExpectedCounts {
    /// Returns the number of records of all tables.
    pub fn records(&self) -> u64 {
        self.tables.iter().map(|table| table.records).sum()
    }

    /// Returns the number of staged domain records of all entity types.
    pub fn staged(&self) -> u64 {
        self.entities.iter().map(|entity| entity.staged).sum()
    }

    /// Returns the number of domain records in which the first validation finds an error.
    pub fn invalid(&self) -> u64 {
        self.entities.iter().map(|entity| entity.invalid).sum()
    }

    /// Returns the counts of an entity type, or `None`.
    pub fn entity(&self, entity_type: &str) -> Option<&EntityCount> {
        self.entities.iter().find(|entity| entity.entity_type == entity_type)
    }
}

/// Computes the expected counts of a bank from all of its rows.
pub(super) fn of(bank: &Bank) -> ExpectedCounts {
    let entity = |&entity_type| EntityCount { entity_type, ..EntityCount::default() };
    let mut expected = ExpectedCounts {
        tables: vec![],
        entities: ENTITY_TYPES.iter().map(entity).collect(),
        spoiled: SPOIL_KINDS.iter().map(|&(_, name, ..)| (name, 0)).collect(),
    };
    for &(name, table) in TABLES {
        let mut count = TableCount { table: name, ..TableCount::default() };
        for step in 1..=table.steps(bank.customers) {
            table.rows(bank.seed, step, &mut |row| expect(bank, step, row, &mut count, &mut expected));
        }
        expected.tables.push(count);
    }
    expected
}

fn expect(bank: &Bank, step: u64, mut row: LegacyRow, count: &mut TableCount, expected: &mut ExpectedCounts) {
    let kind = spoil(bank.seed, &bank.spoil, &mut row);
    if let Some(kind) = kind {
        expected.spoiled[kind as usize].1 += 1;
    }
    let outcome = kind.map(SpoilKind::outcome);
    count.records += 1;
    if outcome == Some(SpoilOutcome::RejectedAtLoad) {
        count.rejected += 1;
        return;
    }
    match outcome {
        Some(SpoilOutcome::Unchanged) => {
            count.records += 1;
            count.repeated += 1;
        }
        Some(SpoilOutcome::SecondRejected) => {
            count.records += 1;
            count.rejected += 1;
        }
        _ => {}
    }
    let Some((entity, amount)) = row.becomes else {
        count.skipped += 1;
        return;
    };
    let spoiled = outcome == Some(SpoilOutcome::FoundByValidation);
    let lost =
        |tables: &[LegacyTable]| !bank.spoil.is_empty() && tables.iter().any(|&table| rejected(bank, table, step));
    let invalid = spoiled || lost(refers_to(entity));
    let sound = !invalid && !lost(depends_on(entity));
    let entity = &mut expected.entities[entity as usize];
    entity.staged += 1;
    entity.amount += amount;
    entity.invalid += u64::from(invalid);
    entity.sound += u64::from(sound);
    entity.sound_amount += if sound { amount } else { 0 };
}

/// Returns the tables whose row of the same customer must be staged, so that the record's references are valid.
fn refers_to(entity: Entity) -> &'static [LegacyTable] {
    match entity {
        Entity::Counterparty | Entity::CollateralObject => &[],
        Entity::Agreement => &[LegacyTable::Client],
        Entity::Collateral => &[LegacyTable::Client, LegacyTable::Loan, LegacyTable::Property],
        Entity::DebitMandate => &[LegacyTable::Client, LegacyTable::Loan],
        Entity::Disbursement | Entity::Repayment | Entity::AdditionalRepayment => &[LegacyTable::Loan],
    }
}

/// Returns the tables whose row of the same customer must be staged, so that the records to which the record refers are
/// sound. For example, without a client there is no sound agreement.
fn depends_on(entity: Entity) -> &'static [LegacyTable] {
    match entity {
        Entity::Disbursement | Entity::Repayment | Entity::AdditionalRepayment => &[LegacyTable::Client],
        _ => &[],
    }
}

fn rejected(bank: &Bank, table: LegacyTable, step: u64) -> bool {
    let mut rejected = false;
    table.rows(bank.seed, step, &mut |mut row| {
        let kind = spoil(bank.seed, &bank.spoil, &mut row);
        rejected |= kind.map(SpoilKind::outcome) == Some(SpoilOutcome::RejectedAtLoad);
    });
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpoilRate;

    #[test]
    fn expected_counts_match_the_written_tables() {
        for spoil in [vec![], SpoilRate::parse("0.1").expect("a share")] {
            let bank = Bank { customers: 2_000, seed: 3, spoil };
            let expected = bank.expected();
            for table in &expected.tables {
                let written = bank.write_table(table.table, &mut std::io::sink()).expect("a table");
                assert_eq!(written.records, table.records, "{}", table.table);
            }
            let left =
                expected.tables.iter().map(|table| table.records - table.skipped - table.rejected - table.repeated);
            assert_eq!(left.sum::<u64>(), expected.staged());
            let spoiled: u64 = expected.spoiled.iter().map(|(_, count)| count).sum();
            assert_eq!(spoiled > 0, !bank.spoil.is_empty());
            assert!(expected.entities.iter().all(|entity| entity.sound + entity.invalid <= entity.staged));
        }
    }

    #[test]
    fn a_sound_bank_has_no_errors_and_records_of_every_entity_type() {
        let expected = Bank { customers: 2_000, seed: 3, spoil: vec![] }.expected();
        assert!(expected.entities.iter().all(|entity| entity.staged > 0 && entity.sound == entity.staged));
        assert!(expected.tables.iter().all(|table| table.rejected == 0 && table.repeated == 0));
        let amount =
            |name| expected.entities.iter().find(|entity| entity.entity_type == name).map(|entity| entity.amount);
        assert_eq!(amount("agreements"), amount("disbursements"));
    }
}
