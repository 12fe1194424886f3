//! Verification: counts and sums of what is staged and of what is in the target, each counted anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::order::{Stage, stages};
use super::{Desk, Failure, Stop};
use crate::framing::scalar_text;
use crate::model::Progress;
use crate::plugin::{CountGroup, EntityType};
use crate::staging::{SourceStatus, StagedBatch, StreamName};
use crate::target::{Groups, Path, Sums, add, money, visit};

/// One verification count, as the API shows it: cells are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Such as `TotalEntity`.
    pub r#type: String,
    /// Names of the columns.
    pub headers: Vec<String>,
    /// What is staged.
    pub staged_rows: Vec<Vec<String>>,
    /// What is in the target.
    pub imported_rows: Vec<Vec<String>>,
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
    let mut total = Count::new("TotalEntity", &["entityType", "count"]);
    let mut amounts = Count::new("TotalAmounts", &["entityType", "currency", "amount"]);
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
        total.add(|figures| vec![vec![name.clone(), figures.count.to_string()]], &staged, &imported);
        let sums = |figures: &Figures| {
            let rows = figures.sums.iter();
            rows.map(|(currency, sum)| vec![name.clone(), currency.clone(), sum.normalize().to_string()]).collect()
        };
        amounts.add(sums, &staged, &imported);
        for (index, group) in groups.iter().enumerate() {
            let mut count = Count::new(&group.name, &[&group.field, "count"]);
            let rows = |figures: &Figures| {
                figures.groups[index].iter().map(|(value, count)| vec![value.clone(), count.to_string()]).collect()
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
    fn new(r#type: &str, headers: &[&str]) -> Self {
        let headers = headers.iter().map(|&header| header.into()).collect();
        Self { r#type: r#type.into(), headers, staged_rows: vec![], imported_rows: vec![] }
    }

    fn add(&mut self, rows: impl Fn(&Figures) -> Vec<Vec<String>>, staged: &Figures, imported: &Figures) {
        self.staged_rows.extend(rows(staged));
        self.imported_rows.extend(rows(imported));
    }
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
pub type Outcomes = BTreeMap<(String, String), u64>;

/// What became of each source's records.
pub fn count_sources(desk: &Desk) -> Result<BTreeMap<String, Outcomes>, Failure> {
    let mut sources = BTreeMap::new();
    let names: BTreeSet<String> = desk.area.sources()?.into_iter().collect();
    for name in names {
        let mut outcomes = Outcomes::new();
        let mut reader = desk.area.reader(StreamName::Source(&name), 0)?;
        let mut staged = StagedBatch::default();
        let limits = &desk.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            for entry in &staged.entries {
                let code = || String::from_utf8_lossy(&entry.extra).into_owned();
                let outcome = match SourceStatus::from_u8(entry.status) {
                    Some(SourceStatus::Mapped) => ("mapped".into(), String::new()),
                    Some(SourceStatus::Skipped) => ("skipped".into(), code()),
                    Some(SourceStatus::Rejected) => ("rejected".into(), code()),
                    Some(SourceStatus::Quarantined) => ("quarantined".into(), code()),
                    None => ("unknown".into(), String::new()),
                };
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        sources.insert(name, outcomes);
    }
    Ok(sources)
}
