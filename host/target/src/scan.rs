//! One pass over the rows that a migration has imported into a table. It counts rows, unaltered rows and groups, and
//! adds up amounts.

use hashbrown::HashMap;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::checksum::TableColumns;
use super::embedded::{EmbeddedTarget, lock};
use super::record_path::{RecordPath, decimal, each, money, visit};
use super::table::TargetTable;
use super::tenant_target::{TenantTarget, of_migration};
use super::{Groups, Sums, TargetError, TargetFigures};
use sluice_contract::{CountGroup, EntityType};

/// Number of rows between two checks for cancellation.
const ROWS_BETWEEN_CHECKS: u64 = 4_096;

/// The place of an amount: two columns, or a column of JSON.
enum AmountColumn {
    Columns { amount: usize, currency: usize },
    Within { column: usize, list: bool, rest: RecordPath },
}

impl AmountColumn {
    fn find(path: &str, column: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        if let (Some(amount), Some(currency)) = (column(&format!("{path}.amount")), column(&format!("{path}.currency")))
        {
            return Some(AmountColumn::Columns { amount, currency });
        }
        let (first, list, rest) = RecordPath::new(path).split_first_owned();
        column(&first).map(|column| AmountColumn::Within { column, list, rest })
    }

    fn add(&self, row: &Row, sums: &mut Sums) -> rusqlite::Result<()> {
        match self {
            AmountColumn::Columns { amount, currency } => {
                if let (Some(digits), Some(currency)) = (text(row, *amount)?, text(row, *currency)?)
                    && let Some(amount) = decimal(digits)
                {
                    add_amount(sums, currency, amount);
                }
            }
            AmountColumn::Within { column, list, rest } => {
                let mut found = |value: &str| {
                    if let Some((amount, currency)) = money(value) {
                        add_amount(sums, &currency, amount);
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

/// Counts a column's value in its group.
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

/// Adds an amount to the sum of its currency.
pub fn add_amount(sums: &mut Sums, currency: &str, amount: Decimal) {
    match sums.get_mut(currency) {
        Some(sum) => *sum += amount,
        None => drop(sums.insert(currency.to_owned(), amount)),
    }
}

impl TenantTarget {
    /// Counts and adds up the rows of a migration: see `Target::figures`.
    pub(super) fn scan(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<TargetFigures, TargetError> {
        let table = self.own(entity_type);
        let query = |columns: &str| table.scan(columns, &of_migration());
        self.database.figures(migration, entity_type, query, groups, most_altered, stopped)
    }
}

impl EmbeddedTarget {
    /// Counts and adds up the rows of a migration in a file, whatever tenant they belong to. Whoever has the file sees every
    /// row, so only a verification without a server uses this. It reads files of versions without tenants as well.
    pub fn figures_of_file(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
    ) -> Result<TargetFigures, TargetError> {
        let query = |columns: &str| TargetTable::new(entity_type).scan_every_tenant(columns, &of_migration());
        self.figures(migration, entity_type, query, groups, 0, &|| false)
    }

    fn figures(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        query: impl FnOnce(&str) -> String,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<TargetFigures, TargetError> {
        let reader = lock(&self.reader);
        let columns_of_table = TableColumns::of(&reader, TargetTable::new(entity_type).name())?;
        let described = |path: &str| {
            let described = entity_type.columns.iter().find(|column| column.path == path)?;
            columns_of_table.column(&described.name)
        };
        let grouped: Vec<Option<usize>> = groups.iter().map(|group| described(&group.field)).collect();
        let amounts: Vec<AmountColumn> =
            entity_type.amounts.iter().filter_map(|path| AmountColumn::find(path, described)).collect();
        let mut query = reader.prepare_cached(&query(&columns_of_table.list))?;
        let mut rows = query.query([migration.to_string()])?;
        let mut figures = TargetFigures::default();
        let mut counted = vec![HashMap::new(); groups.len()];
        while let Some(row) = rows.next()? {
            if figures.count % ROWS_BETWEEN_CHECKS == 0 && stopped() {
                return Err(TargetError::Cancelled);
            }
            figures.count += 1;
            if columns_of_table.is_unaltered(row)? {
                figures.unaltered += 1;
            } else if figures.altered.len() < most_altered {
                // The first column is the id. The id itself may be altered.
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
