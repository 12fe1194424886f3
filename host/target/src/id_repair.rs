//! Ids that an earlier version stored as they were written. Each table is checked once, and ids that are not canonical
//! are rewritten. A row whose canonical id another row has is left and reported: a person has to decide between the two.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params, params_from_iter};

use super::TargetError;
use super::checksum::TableColumns;
use super::embedded::{EmbeddedTarget, lock};
use super::table::{TargetTable, TenantTable};
use super::tenants;
use sluice_contract::{CanonicalIds, ColumnKind, EntityType};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sluice_canonical_ids (table_name TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// Number of rows that are read at once.
const ROWS: usize = 1_000;

/// Result of checking the ids of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdRepair {
    /// Number of rows whose ids were rewritten.
    pub rewritten: u64,
    /// Number of rows that were left, because another row has their canonical id.
    pub left: u64,
}

/// A row with ids that are not canonical.
struct OldRow {
    number: i64,
    /// Index and new text of each column that changes.
    changes: Vec<(usize, String)>,
    check: Option<i64>,
}

impl EmbeddedTarget {
    /// Rewrites the ids of an entity type's table in their canonical form, if the table was not checked before. The
    /// table has been prepared.
    pub fn canonicalise_ids(&self, entity_type: &EntityType) -> Result<IdRepair, TargetError> {
        let table = TargetTable::new(entity_type);
        let writer = lock(&self.writer);
        let checked = "SELECT 1 FROM sluice_canonical_ids WHERE table_name = ?";
        let checked: Option<i64> = writer.query_row(checked, [table.name()], |row| row.get(0)).optional()?;
        let mut repair = IdRepair::default();
        if checked.is_some() {
            return Ok(repair);
        }
        for tenant in tenants::all(&writer)? {
            canonicalise_tenant(&writer, entity_type, &TenantTable::new(entity_type, tenant), &mut repair)?;
        }
        if repair.left == 0 {
            let note = "INSERT OR IGNORE INTO sluice_canonical_ids (table_name) VALUES (?)";
            writer.execute(note, [table.name()])?;
        }
        Ok(repair)
    }
}

/// Rewrites the ids of a tenant's rows.
fn canonicalise_tenant(
    writer: &Connection,
    entity_type: &EntityType,
    table: &TenantTable,
    repair: &mut IdRepair,
) -> Result<(), TargetError> {
    let (ids, columns) = (CanonicalIds::new(entity_type), TableColumns::of(writer, table.table.name())?);
    let mut after = i64::MIN;
    loop {
        let transaction = Transaction::new_unchecked(writer, TransactionBehavior::Immediate)?;
        let (last, old) = old_rows(&transaction, table, &columns, &ids, after)?;
        for row in &old {
            let stored = store(&transaction, table, &columns, row)?;
            *(if stored { &mut repair.rewritten } else { &mut repair.left }) += 1;
        }
        transaction.commit()?;
        let Some(last) = last else { return Ok(()) };
        after = last;
    }
}

/// Reads some rows after a row number. Returns the last row number, if there is a row, and the rows that have to change.
fn old_rows(
    connection: &Connection,
    table: &TenantTable,
    columns: &TableColumns,
    ids: &CanonicalIds,
    after: i64,
) -> rusqlite::Result<(Option<i64>, Vec<OldRow>)> {
    let condition = format!("rowid > ? ORDER BY rowid LIMIT {ROWS}");
    let mut query = connection.prepare_cached(&table.scan(&format!("{}, rowid", columns.list), &condition))?;
    let (mut last, mut old, mut rows) = (None, vec![], query.query([after])?);
    while let Some(row) = rows.next()? {
        let number = row.get(columns.columns.len() + 1)?;
        last = Some(number);
        old.extend(old_row(row, number, &table.table, columns, ids)?);
    }
    Ok((last, old))
}

/// Returns the changes of a row, if its ids are not canonical.
fn old_row(
    row: &Row,
    number: i64,
    table: &TargetTable,
    columns: &TableColumns,
    ids: &CanonicalIds,
) -> rusqlite::Result<Option<OldRow>> {
    let (mut changes, mut check) = (vec![], row.get::<_, Option<i64>>(columns.columns.len())?);
    for described in table.columns {
        let Some(column) = columns.column(&described.name) else { continue };
        let ValueRef::Text(stored) = row.get_ref(column)? else { continue };
        let mut text = stored.to_vec();
        let changed = match described.kind {
            ColumnKind::Id => {
                text.make_ascii_lowercase();
                text != stored
            }
            ColumnKind::Json => ids.canonicalise_value(&mut text, &described.path),
            _ => false,
        };
        if changed && let Ok(text) = String::from_utf8(text) {
            // A row that was altered after its import still counts as altered.
            check = columns.check_after(check, column, stored, text.as_bytes());
            changes.push((column, text));
        }
    }
    Ok((!changes.is_empty()).then_some(OldRow { number, changes, check }))
}

/// Stores the changes of a row. Returns false if another row has its new reference id.
fn store(connection: &Connection, table: &TenantTable, columns: &TableColumns, row: &OldRow) -> rusqlite::Result<bool> {
    let key = columns.column(table.table.key());
    if let Some((_, id)) = row.changes.iter().find(|(column, _)| Some(*column) == key) {
        let other = format!("{} AND rowid <> ?2", table.find("1", 1));
        if connection.prepare_cached(&other)?.exists(params![id, row.number])? {
            return Ok(false);
        }
    }
    let sets: Vec<String> =
        row.changes.iter().map(|(column, _)| format!("\"{}\" = ?", columns.columns[*column])).collect();
    let check = format!("\"{}\" = ?", super::table::CHECK);
    let update = table.set(&format!("{}, {check}", sets.join(", ")), "rowid = ?");
    let values = row.changes.iter().map(|(_, text)| Value::Text(text.clone()));
    let ends = [row.check.map_or(Value::Null, Value::Integer), Value::Integer(row.number)];
    connection.prepare_cached(&update)?.execute(params_from_iter(values.chain(ends)))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::{ColumnExtractor, NewRow, RowProvenance, Target, TenantScope};
    use sluice_config::ImportLimits;
    use sluice_contract::{Column, Reference};
    use sluice_model::{Digest, Name, Tenant};
    use uuid::Uuid;

    fn things() -> EntityType {
        let column = |name: &'static str, path: &str, kind| Column { name: Name::new(name), path: path.into(), kind };
        EntityType {
            name: Name::new("things"),
            columns: vec![
                column("reference_id", "referenceId", ColumnKind::Id),
                column("name", "name", ColumnKind::Text),
                column("others", "others", ColumnKind::Json),
            ],
            references: vec![Reference { path: "others[]".into(), entity_type: "things".into() }],
            amounts: vec![],
        }
    }

    /// The ids of a table of an earlier version become canonical, once. A row whose canonical id exists is left, and
    /// reported at each start until it is gone.
    #[test]
    fn an_older_table_is_rewritten() {
        let held = tempfile::tempdir().unwrap();
        let (path, things) = (held.path().join("platform.db"), things());
        let open = || Arc::new(EmbeddedTarget::open(&path, &ImportLimits::default(), &|_| None).unwrap());
        let scoped = |target: &Arc<EmbeddedTarget>| target.scoped(&TenantScope::of(Tenant::default_tenant())).unwrap();
        let target = open();
        target.prepare(&things).unwrap();
        let lower = |last: &str| format!("aaaaaaaa-0000-4000-8000-0000000000{last}");
        let upper = |last: &str| lower(last).to_uppercase();
        let ids = [lower("a1"), upper("a2"), upper("a3"), lower("a3")];
        let bodies = ids
            .each_ref()
            .map(|id| format!(r#"{{"referenceId":"{id}","name":"{}","others":["{}"]}}"#, upper("ff"), upper("a1")));
        let migration = Uuid::from_u128(1);
        let digest = Digest::of(b"x");
        let provenance = RowProvenance { source: "upload".into(), mapper: None, domain_plugin: digest };
        let rows_of_tenant = scoped(&target);
        let mut load = rows_of_tenant.begin(migration, &things, &|| false).unwrap();
        for (number, body) in bodies.iter().enumerate() {
            let mut spans = vec![];
            let sum = ColumnExtractor::new(&things).extract(body.as_bytes(), &mut spans);
            // The earlier version stored the rows under keys that it compared as text.
            let id = [number as u8; 16];
            let row =
                NewRow { id, hash: [1; 16], body: body.as_bytes(), spans: &spans, sum, provenance: 0, position: 1 };
            load.store(std::slice::from_ref(&provenance), &mut [row]).unwrap();
        }
        load.finish(Some(1)).unwrap();
        let unaltered = |target: &Arc<EmbeddedTarget>| {
            let figures = scoped(target).figures(migration, &things, &[], 10, &|| false).unwrap();
            (figures.count, figures.unaltered)
        };
        assert_eq!(unaltered(&target), (4, 4));

        assert_eq!(target.canonicalise_ids(&things).unwrap(), IdRepair { rewritten: 3, left: 1 });
        assert_eq!(unaltered(&target), (4, 4));
        drop((rows_of_tenant, target));
        let target = open();
        assert_eq!(target.canonicalise_ids(&things).unwrap(), IdRepair { rewritten: 0, left: 1 });
        let connection = Connection::open(&path).unwrap();
        let rows = |connection: &Connection| -> Vec<(String, String, String)> {
            let mut query = connection.prepare("SELECT reference_id, name, others FROM things ORDER BY rowid").unwrap();
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let canonical = |id: String| (id, upper("ff"), format!(r#"["{}"]"#, lower("a1")));
        let left = (upper("a3"), upper("ff"), format!(r#"["{}"]"#, upper("a1")));
        let expected = [canonical(lower("a1")), canonical(lower("a2")), left, canonical(lower("a3"))];
        assert_eq!(rows(&connection), expected);
        connection.execute("DELETE FROM things WHERE reference_id = ?", [upper("a3")]).unwrap();
        assert_eq!(target.canonicalise_ids(&things).unwrap(), IdRepair::default());
        let checked: i64 =
            connection.query_row("SELECT count(*) FROM sluice_canonical_ids", [], |row| row.get(0)).unwrap();
        assert_eq!(checked, 1, "the table is not read again");
    }
}
