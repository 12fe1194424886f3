//! What must come of a bank: how many records of each table, how many domain records, what they add up to.

use super::bank::Bank;
use super::rows::{ENTITY_TYPES, Entity, Row, TABLES, Table};
use super::spoil::{Outcome, WAYS, Way, spoil};

/// What must come of a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// By table, in upload order.
    pub tables: Vec<TableCount>,
    /// By entity type, in order of import.
    pub entities: Vec<EntityCount>,
    /// Records spoiled, by name of the way.
    pub spoiled: Vec<(&'static str, u64)>,
}

/// What must come of a table. Every line is skipped, rejected, repeated or staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCount {
    pub table: &'static str,
    /// Lines.
    pub records: u64,
    /// Rightly not migrated.
    pub skipped: u64,
    /// Not staged for an error.
    pub rejected: u64,
    /// Lines that say again what the line before them says.
    pub repeated: u64,
}

/// What must come out as one entity type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntityCount {
    pub entity_type: &'static str,
    /// Records staged, and their amounts in hundredths of a crown.
    pub staged: u64,
    pub amount: u64,
    /// Those of them that validation finds an error in: spoiled themselves, or referring to a record that
    /// was rejected.
    pub invalid: u64,
    /// What can be imported, and its amounts in hundredths of a crown: staged, not invalid, and not
    /// referring to what is invalid.
    pub sound: u64,
    pub sound_amount: u64,
}

impl Expected {
    /// Records of all tables.
    pub fn records(&self) -> u64 {
        self.tables.iter().map(|table| table.records).sum()
    }

    /// Domain records of all entity types.
    pub fn staged(&self) -> u64 {
        self.entities.iter().map(|entity| entity.staged).sum()
    }

    /// Records of all entity types that validation finds an error in, the first time.
    pub fn invalid(&self) -> u64 {
        self.entities.iter().map(|entity| entity.invalid).sum()
    }

    /// What is known of an entity type.
    pub fn entity(&self, entity_type: &str) -> Option<&EntityCount> {
        self.entities.iter().find(|entity| entity.entity_type == entity_type)
    }
}

/// Goes through all of the bank.
pub(super) fn of(bank: &Bank) -> Expected {
    let entity = |&entity_type| EntityCount { entity_type, ..EntityCount::default() };
    let mut expected = Expected {
        tables: vec![],
        entities: ENTITY_TYPES.iter().map(entity).collect(),
        spoiled: WAYS.iter().map(|&(_, name, ..)| (name, 0)).collect(),
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

fn expect(bank: &Bank, step: u64, mut row: Row, count: &mut TableCount, expected: &mut Expected) {
    let way = spoil(bank.seed, &bank.spoil, &mut row);
    if let Some(way) = way {
        expected.spoiled[way as usize].1 += 1;
    }
    let outcome = way.map(Way::outcome);
    count.records += 1;
    if outcome == Some(Outcome::RejectedAtLoad) {
        count.rejected += 1;
        return;
    }
    match outcome {
        Some(Outcome::Unchanged) => {
            count.records += 1;
            count.repeated += 1;
        }
        Some(Outcome::SecondRejected) => {
            count.records += 1;
            count.rejected += 1;
        }
        _ => {}
    }
    let Some((entity, amount)) = row.becomes else {
        count.skipped += 1;
        return;
    };
    let spoiled = outcome == Some(Outcome::FoundByValidation);
    let lost = |tables: &[Table]| !bank.spoil.is_empty() && tables.iter().any(|&table| rejected(bank, table, step));
    let invalid = spoiled || lost(refers_to(entity));
    let sound = !invalid && !lost(hangs_on(entity));
    let entity = &mut expected.entities[entity as usize];
    entity.staged += 1;
    entity.amount += amount;
    entity.invalid += u64::from(invalid);
    entity.sound += u64::from(sound);
    entity.sound_amount += if sound { amount } else { 0 };
}

/// Tables of which the same customer's only row must have been staged, for a reference to be good.
fn refers_to(entity: Entity) -> &'static [Table] {
    match entity {
        Entity::Counterparty | Entity::CollateralObject => &[],
        Entity::Agreement => &[Table::Client],
        Entity::Collateral => &[Table::Client, Table::Loan, Table::Property],
        Entity::DebitMandate => &[Table::Client, Table::Loan],
        Entity::Disbursement | Entity::Repayment | Entity::AdditionalRepayment => &[Table::Loan],
    }
}

/// Tables of which the same customer's only row must have been staged for what the record refers to to be
/// sound: without a client there is no sound agreement.
fn hangs_on(entity: Entity) -> &'static [Table] {
    match entity {
        Entity::Disbursement | Entity::Repayment | Entity::AdditionalRepayment => &[Table::Client],
        _ => &[],
    }
}

fn rejected(bank: &Bank, table: Table, step: u64) -> bool {
    let mut rejected = false;
    table.rows(bank.seed, step, &mut |mut row| {
        let way = spoil(bank.seed, &bank.spoil, &mut row);
        rejected |= way.map(Way::outcome) == Some(Outcome::RejectedAtLoad);
    });
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spoil;

    #[test]
    fn what_is_expected_is_what_is_written() {
        for spoil in [vec![], Spoil::parse("0.1").expect("a share")] {
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
