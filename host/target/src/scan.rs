//! One pass over what a migration has brought into a table: how many rows, how many of them as they were stored, groups
//! and sums.

use hashbrown::HashMap;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::check::Whole;
use super::embedded::{EmbeddedTarget, lock};
use super::paths::{Path, decimal, each, money, visit};
use super::read::of_migration;
use super::table::table_name;
use super::{Figures, Groups, Sums, TargetError};
use sluice_contract::{CountGroup, EntityType};

/// Rows between two looks at whether to give up.
const BETWEEN_LOOKS: u64 = 4_096;

/// Where an amount is: in two columns, or in a column of JSON.
enum Amount {
    Columns { amount: usize, currency: usize },
    Within { column: usize, list: bool, rest: Path },
}

impl Amount {
    fn find(path: &str, column: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        if let (Some(amount), Some(currency)) = (column(&format!("{path}.amount")), column(&format!("{path}.currency")))
        {
            return Some(Amount::Columns { amount, currency });
        }
        let (first, list, rest) = Path::new(path).split_first_owned();
        column(&first).map(|column| Amount::Within { column, list, rest })
    }

    fn add(&self, row: &Row, sums: &mut Sums) -> rusqlite::Result<()> {
        match self {
            Amount::Columns { amount, currency } => {
                if let (Some(digits), Some(currency)) = (text(row, *amount)?, text(row, *currency)?)
                    && let Some(amount) = decimal(digits)
                {
                    add(sums, currency, amount);
                }
            }
            Amount::Within { column, list, rest } => {
                let mut found = |value: &str| {
                    if let Some((amount, currency)) = money(value) {
                        add(sums, &currency, amount);
                    }
                };
                match text(row, *column)? {
                    Some(json) if *list => each(json, |item| visit(item, rest, &mut found)),
                    Some(json) => visit(json, rest, &mut found),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

fn text<'a>(row: &'a Row, column: usize) -> rusqlite::Result<Option<&'a str>> {
    Ok(row.get_ref(column)?.as_str().ok())
}

/// How many rows have which value in a column.
fn count(groups: &mut HashMap<String, u64>, value: ValueRef) {
    let number;
    let value = match value {
        ValueRef::Text(text) => std::str::from_utf8(text).unwrap_or_default(),
        ValueRef::Integer(integer) => {
            number = integer.to_string();
            &number
        }
        _ => "",
    };
    match groups.get_mut(value) {
        Some(count) => *count += 1,
        None => drop(groups.insert(value.to_owned(), 1)),
    }
}

/// Adds to the sum of a currency.
pub fn add(sums: &mut Sums, currency: &str, amount: Decimal) {
    match sums.get_mut(currency) {
        Some(sum) => *sum += amount,
        None => drop(sums.insert(currency.to_owned(), amount)),
    }
}

impl EmbeddedTarget {
    pub(super) fn scan(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Figures, TargetError> {
        let (table, ours) = (table_name(&entity_type.name), of_migration());
        let reader = lock(&self.reader);
        let whole = Whole::of(&reader, &table)?;
        let described = |path: &str| {
            let described = entity_type.columns.iter().find(|column| column.path == path)?;
            whole.column(&described.name)
        };
        let grouped: Vec<Option<usize>> = groups.iter().map(|group| described(&group.field)).collect();
        let amounts: Vec<Amount> =
            entity_type.amounts.iter().filter_map(|path| Amount::find(path, described)).collect();
        let mut query = reader.prepare_cached(&format!("SELECT {} FROM \"{table}\" WHERE {ours}", whole.list))?;
        let mut rows = query.query([migration.to_string()])?;
        let mut figures = Figures::default();
        let mut counted = vec![HashMap::new(); groups.len()];
        while let Some(row) = rows.next()? {
            if figures.count % BETWEEN_LOOKS == 0 && stopped() {
                return Err(TargetError::Cancelled);
            }
            figures.count += 1;
            if whole.holds(row)? {
                figures.unaltered += 1;
            } else if figures.altered.len() < most_altered {
                // The id is the first column; it may be what was changed.
                figures.altered.push(text(row, 0)?.and_then(|id| id.parse().ok()));
            }
            for (column, groups) in grouped.iter().zip(&mut counted) {
                if let Some(column) = column {
                    count(groups, row.get_ref(*column)?);
                }
            }
            amounts.iter().try_for_each(|amount| amount.add(row, &mut figures.sums))?;
        }
        figures.groups = counted.into_iter().map(Groups::from_iter).collect();
        Ok(figures)
    }
}
