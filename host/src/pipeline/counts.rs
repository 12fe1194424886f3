//! Verification: counts and sums of what is staged and of what is in the target, each counted anew.

use std::collections::{BTreeMap, BTreeSet};

use super::order::{Stage, stages};
use super::{Desk, Failure, Stop};
use crate::framing::scalar_text;
use crate::model::{Cell, Code, Currency, Figure, Name, Progress};
use crate::plugin::{CountGroup, EntityType};
use crate::staging::{SourceStatus, StagedBatch, StreamName};
use crate::target::{Groups, Path, Sums, add, money, visit};

/// One verification count: cells are shown as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Such as `TotalEntity`.
    pub name: Name,
    /// Names of the columns.
    pub headers: Vec<Name>,
    /// What is staged.
    pub staged_rows: Vec<Vec<Cell>>,
    /// What is in the target.
    pub imported_rows: Vec<Vec<Cell>>,
}

impl From<Count> for Figure {
    fn from(count: Count) -> Self {
        let rows = |rows: Vec<Vec<Cell>>| Figure::list(rows.into_iter().map(Figure::list));
        Figure::table([
            ("type", count.name.into()),
            ("headers", Figure::list(count.headers)),
            ("stagedRows", rows(count.staged_rows)),
            ("importedRows", rows(count.imported_rows)),
        ])
    }
}

/// Figures of one entity type on one side.
#[derive(Default)]
struct Figures {
    count: u64,
    groups: Vec<Groups>,
    sums: Sums,
}

/// Counts everything on both sides; whether both sides agree.
pub fn count(desk: &Desk, progress: &Progress) -> Result<(bool, Vec<Count>), Stop> {
    let migration = desk.migration.reference_id;
    let mut total = Count::new("TotalEntity".into(), &["entityType".into(), "count".into()]);
    let columns = ["entityType".into(), "currency".into(), "amount".into()];
    let mut amounts = Count::new("TotalAmounts".into(), &columns);
    let mut grouped: Vec<Count> = vec![];
    let mut types = vec![];
    for stage in stages(&desk.plugins, &desk.migration) {
        if let Stage::Import(plugin, entity_type) = stage {
            progress.expect(desk.area.count(StreamName::Records(&entity_type.name))?);
            types.push((plugin, entity_type));
        }
    }
    for (plugin, entity_type) in &types {
        let groups: Vec<&CountGroup> =
            plugin.description.count_groups.iter().filter(|group| group.entity_type == entity_type.name).collect();
        desk.target.prepare(entity_type)?;
        let staged = count_staged(desk, entity_type, &groups, progress)?;
        let imported = Figures {
            count: desk.target.count(migration, &entity_type.name)?,
            groups: groups
                .iter()
                .map(|group| desk.target.groups(migration, entity_type, group))
                .collect::<Result<_, _>>()?,
            sums: desk.target.sums(migration, entity_type)?,
        };
        let name = &entity_type.name;
        total.add(|figures| vec![vec![name.into(), figures.count.into()]], &staged, &imported);
        let sums = |figures: &Figures| {
            let rows = by_currency(&figures.sums).into_iter();
            rows.map(|(currency, sum)| vec![name.into(), currency.as_ref().into(), sum.into()]).collect()
        };
        amounts.add(sums, &staged, &imported);
        for (index, group) in groups.iter().enumerate() {
            let mut count = Count::new(group.name.clone(), &[group.field.clone(), "count".into()]);
            let rows = |figures: &Figures| {
                let rows = by_value(&figures.groups[index], &group.values).into_iter();
                rows.map(|(value, count)| vec![(&value).into(), count.into()]).collect()
            };
            count.add(rows, &staged, &imported);
            grouped.push(count);
        }
    }
    let mut counts = vec![total];
    counts.extend(grouped);
    counts.push(amounts);
    let agree = counts.iter().all(|count| count.staged_rows == count.imported_rows);
    Ok((agree, counts))
}

impl Count {
    fn new(name: Name, headers: &[Name]) -> Self {
        Self { name, headers: headers.to_vec(), staged_rows: vec![], imported_rows: vec![] }
    }

    fn add(&mut self, rows: impl Fn(&Figures) -> Vec<Vec<Cell>>, staged: &Figures, imported: &Figures) {
        self.staged_rows.extend(rows(staged));
        self.imported_rows.extend(rows(imported));
    }
}

/// Stands for every value that a plugin has not declared: a field that is counted could hold anything.
const OTHER: Name = Name::new("OTHER");
/// Stands for a field that is not there.
const NONE: Name = Name::new("");

/// The same by declared values.
fn by_value(groups: &Groups, values: &[Name]) -> BTreeMap<Name, u64> {
    let mut declared = BTreeMap::new();
    for (value, count) in groups {
        let known = values.iter().find(|known| **known == **value);
        let name = if value.is_empty() { NONE } else { known.cloned().unwrap_or(OTHER) };
        *declared.entry(name).or_default() += count;
    }
    declared
}

/// The same by what can be a currency; what cannot, together.
fn by_currency(sums: &Sums) -> BTreeMap<Option<Currency>, rust_decimal::Decimal> {
    let mut read = BTreeMap::<_, rust_decimal::Decimal>::new();
    for (currency, sum) in sums {
        *read.entry(Currency::read(currency)).or_default() += *sum;
    }
    read
}

fn count_staged(
    desk: &Desk,
    entity_type: &EntityType,
    groups: &[&CountGroup],
    progress: &Progress,
) -> Result<Figures, Stop> {
    let mut figures = Figures { groups: vec![Groups::new(); groups.len()], ..Figures::default() };
    let fields: Vec<Path> = groups.iter().map(|group| Path::new(&group.field)).collect();
    let amounts: Vec<Path> = entity_type.amounts.iter().map(|path| Path::new(path)).collect();
    let mut reader = desk.area.reader(StreamName::Records(&entity_type.name), 0)?;
    let limits = &desk.config.upload;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        if progress.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        for position in 0..staged.len() {
            let body = String::from_utf8_lossy(staged.body(position));
            for (field, groups) in fields.iter().zip(&mut figures.groups) {
                let mut value = String::new();
                visit(&body, field, &mut |raw| value = scalar_text(raw).unwrap_or_default().into_owned());
                *groups.entry(value).or_default() += 1;
            }
            for path in &amounts {
                visit(&body, path, &mut |raw| {
                    if let Some((amount, currency)) = money(raw) {
                        add(&mut figures.sums, &currency, amount);
                    }
                });
            }
        }
        figures.count += staged.len() as u64;
        progress.advance(staged.len() as u64);
    }
    Ok(figures)
}

/// How many records of a source came to each outcome and code.
pub type Outcomes = BTreeMap<(&'static str, Option<Code>), u64>;

/// What became of each source's records.
pub fn count_sources(desk: &Desk) -> Result<BTreeMap<Name, Outcomes>, Failure> {
    let mut sources = BTreeMap::new();
    let names: BTreeSet<String> = desk.area.sources()?.into_iter().collect();
    for name in names {
        let mut outcomes = Outcomes::new();
        let mut reader = desk.area.reader(StreamName::Source(&name), 0)?;
        let mut staged = StagedBatch::default();
        let limits = &desk.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            for entry in &staged.entries {
                let code = || Some(Code::kept(&String::from_utf8_lossy(&entry.extra)));
                let outcome = match SourceStatus::from_u8(entry.status) {
                    Some(SourceStatus::Mapped) => ("mapped", None),
                    Some(SourceStatus::Skipped) => ("skipped", code()),
                    Some(SourceStatus::Rejected) => ("rejected", code()),
                    Some(SourceStatus::Quarantined) => ("quarantined", code()),
                    None => ("unknown", None),
                };
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        sources.insert(Name::kept(&name), outcomes);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_declared_is_counted_together() {
        let groups =
            Groups::from([("person".into(), 2), ("Novak".into(), 3), ("Vesela".into(), 4), (String::new(), 5)]);
        let counted = by_value(&groups, &["person".into(), "organisation".into()]);
        let expected = [("".into(), 5), ("OTHER".into(), 7), ("person".into(), 2)];
        assert_eq!(counted, BTreeMap::from(expected));
        let sums = Sums::from([("CZK".into(), 2.into()), ("Novak".into(), 3.into()), ("novak".into(), 4.into())]);
        let summed: Vec<(Cell, Cell)> =
            by_currency(&sums).into_iter().map(|(currency, sum)| (currency.as_ref().into(), sum.into())).collect();
        let other = (Cell::from(None), Cell::from(7));
        assert_eq!(summed, [other, ((&Name::new("CZK")).into(), Cell::from(2))]);
    }
}
