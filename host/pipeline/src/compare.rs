//! Comparison: what two mappers make of the same staged source records, record by record and field by field.
//!
//! Both sides are staged in areas that are thrown away, and walked. The figures name codes, fields and ids; the records
//! themselves, side by side, are a sealed list that stays for those who may read records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::counts::{by_currency, count_sources};
use super::sample::{Choice, Sample};
use super::trial::{SHOWN, map_all};
use super::{Desk, Failure, Stop};
use sluice_catalog::{IssueCount, Phase, Store};
use sluice_contract::EntityType;
use sluice_model::{Cell, Code, Currency, Figure, JobKind, Name, Progress};
use sluice_plugin_host::{DomainPlugin, MapperPlugin};
use sluice_staging::{Aside, Lines, StagedBatch, StagingArea, StagingError, StreamName};
use sluice_target::{Path, Sums, add, money, visit};

mod fields;

use fields::Fields;

/// What is to be compared.
#[derive(Clone)]
pub struct Compare {
    /// The mapper that is there.
    pub from: Arc<MapperPlugin>,
    /// The mapper that may take its place.
    pub to: Arc<MapperPlugin>,
    /// On which records; all if this is none.
    pub sample: Option<Sample>,
}

/// The area of a comparison that holds nothing but its list, and the list.
const FOUND: &str = "found";
const DIFFERENCES: &str = "differences";

/// Maps with both, and says in figures how what they make differs.
pub fn compare(desk: &Desk, asked: &Compare, job: Uuid, progress: &Progress) -> Result<Figure, Stop> {
    let aside = desk.area.aside(job)?;
    let list = aside.area(FOUND)?;
    // So that there is a list also where nothing differs.
    list.append_lines(DIFFERENCES, [])?;
    let mut total = 0;
    for source in &asked.from.description.sources {
        total += desk.area.count(StreamName::Source(&source.name))?;
    }
    progress.expect(2 * total);
    let choice = Choice::of(asked.sample, total);
    let from = Side::map(desk, &aside, "from", &asked.from, choice, progress)?;
    let to = Side::map(desk, &aside, "to", &asked.to, choice, progress)?;
    let names: BTreeSet<&Name> =
        asked.from.description.entity_types.iter().chain(&asked.to.description.entity_types).collect();
    let mut types = vec![];
    for name in names {
        let plugin =
            desk.plugins.of_entity_type(name).filter(|plugin| desk.migration.covers(&plugin.description.domain));
        let Some((plugin, entity_type)) = plugin.and_then(|plugin| Some((plugin, plugin.entity_type(name)?))) else {
            continue;
        };
        let mut walk = Walk::new(plugin, entity_type, &list);
        walk.both(&from, &to, progress)?;
        types.push(walk);
    }
    let changed_codes = codes(&from, &to)?;
    let same = changed_codes.is_empty() && types.iter().all(Walk::is_same);
    let report = Figure::table([
        ("from", plugin(&asked.from)),
        ("to", plugin(&asked.to)),
        ("isSame", same.into()),
        ("records", from.taken.into()),
        ("entityTypes", Figure::list(types.into_iter().map(Walk::figures))),
        ("codes", changed_codes.into()),
    ]);
    for side in [from, to] {
        let area = side.desk.area.clone();
        drop(side);
        aside.discard(area)?;
    }
    // The last comparison's list makes way for this one.
    for earlier in desk.store.jobs_of_kind(desk.migration.reference_id, JobKind::Compare)? {
        if earlier != job {
            desk.area.discard_aside(earlier)?;
        }
    }
    let until = Timestamp::now() + SignedDuration::from_hours(desk.config.trial.difference_hours as i64);
    aside.keep_until(until.as_second())?;
    Ok(report)
}

/// The differences that a comparison found, an object a line; none if they are kept no longer.
pub fn differences(desk: &Desk, job: Uuid) -> Result<Option<Lines>, Failure> {
    Ok(desk.area.lines_aside(job, FOUND, DIFFERENCES)?)
}

fn plugin(mapper: &MapperPlugin) -> Figure {
    let title = mapper.title();
    Figure::table([
        ("name", Figure::from(title.name)),
        ("version", title.version.into()),
        ("digest", mapper.digest.into()),
    ])
}

/// How many records or issues there are by source, outcome or severity, and code.
type Codes = BTreeMap<(Name, &'static str, Option<Code>), u64>;

/// What one mapper made.
struct Side {
    desk: Desk,
    taken: u64,
}

impl Side {
    fn map(
        desk: &Desk,
        aside: &Aside,
        name: &str,
        mapper: &Arc<MapperPlugin>,
        choice: Choice,
        progress: &Progress,
    ) -> Result<Self, Stop> {
        let store = Arc::new(Store::in_memory(&desk.migration)?);
        let side = Desk { store, area: aside.area(name)?, ..desk.clone() };
        let taken = map_all(&desk.area, &side, mapper, choice, progress)?;
        Ok(Self { desk: side, taken })
    }

    /// How many records came to each outcome and code, and how many issues there are.
    fn codes(&self) -> Result<Codes, Failure> {
        let mut codes = BTreeMap::new();
        for (source, outcomes) in count_sources(&self.desk)? {
            for ((outcome, code), count) in outcomes {
                codes.insert((source.clone(), outcome, code), count);
            }
        }
        for IssueCount { stream, severity, code, rule, count } in
            self.desk.store.issue_counts(self.desk.migration.reference_id, Phase::Load)?
        {
            *codes.entry((stream, severity.as_str(), Some(rule.unwrap_or(code)))).or_default() += count;
        }
        Ok(codes)
    }
}

/// Outcomes and issues by code, where they differ.
fn codes(from: &Side, to: &Side) -> Result<Vec<Figure>, Failure> {
    let (from, to) = (from.codes()?, to.codes()?);
    let all: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let count = |side: &Codes, kind| side.get(kind).copied().unwrap_or(0);
    let differing = all.into_iter().filter(|kind| count(&from, kind) != count(&to, kind));
    let shown = differing.map(|kind| {
        let (source, outcome, code) = kind;
        Figure::table([
            ("source", Figure::from(source.clone())),
            ("outcome", (*outcome).into()),
            ("code", code.clone().into()),
            ("from", count(&from, kind).into()),
            ("to", count(&to, kind).into()),
        ])
    });
    Ok(shown.collect())
}

/// How the records of one entity type differ.
struct Walk<'a> {
    plugin: &'a DomainPlugin,
    entity_type: &'a EntityType,
    list: &'a StagingArea,
    unchanged: u64,
    added: Kind,
    removed: Kind,
    changed: Kind,
    fields: Fields,
    sums: [Sums; 2],
}

/// How many records differ in the same way, and the first of them.
#[derive(Default)]
struct Kind {
    count: u64,
    ids: Vec<Uuid>,
}

impl Kind {
    fn note(&mut self, id: Uuid) {
        self.count += 1;
        if self.ids.len() < SHOWN as usize {
            self.ids.push(id);
        }
    }

    fn figures(self) -> Figure {
        Figure::table([("count", Figure::from(self.count)), ("referenceIds", Figure::list(self.ids))])
    }
}

/// A line of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference<'a> {
    entity_type: &'a str,
    reference_id: Uuid,
    change: &'static str,
    from: Option<&'a RawValue>,
    to: Option<&'a RawValue>,
}

/// A record as it stands in the line.
fn raw(body: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(body).ok()
}

impl<'a> Walk<'a> {
    fn new(plugin: &'a DomainPlugin, entity_type: &'a EntityType, list: &'a StagingArea) -> Self {
        let (added, removed, changed) = Default::default();
        let (fields, sums) = Default::default();
        Self { plugin, entity_type, list, unchanged: 0, added, removed, changed, fields, sums }
    }

    fn both(&mut self, from: &Side, to: &Side, progress: &Progress) -> Result<(), Stop> {
        self.one(&from.desk, progress, 0, |walk, id, body, lines| {
            let other = to.desk.area.read(&walk.entity_type.name, id.into_bytes())?;
            match other {
                None => {
                    walk.removed.note(id);
                    lines.push(walk.line(id, "removed", Some(body), None)?);
                }
                Some(other) if other == body => walk.unchanged += 1,
                Some(other) => {
                    walk.changed.note(id);
                    walk.fields.note(walk.plugin, &walk.entity_type.name, id, body, &other);
                    lines.push(walk.line(id, "changed", Some(body), Some(&other))?);
                }
            }
            Ok(())
        })?;
        self.one(&to.desk, progress, 1, |walk, id, body, lines| {
            if !from.desk.area.contains(&walk.entity_type.name, &[id.into_bytes()])?[0] {
                walk.added.note(id);
                lines.push(walk.line(id, "added", None, Some(body))?);
            }
            Ok(())
        })
    }

    /// Goes through the records of one side: adds up its amounts, and hands each on.
    fn one(
        &mut self,
        desk: &Desk,
        progress: &Progress,
        side: usize,
        mut each: impl FnMut(&mut Self, Uuid, &[u8], &mut Vec<Vec<u8>>) -> Result<(), StagingError>,
    ) -> Result<(), Stop> {
        let amounts: Vec<Path> = self.entity_type.amounts.iter().map(|path| Path::new(path)).collect();
        let limits = &desk.config.upload;
        let mut reader = desk.area.reader(StreamName::Records(&self.entity_type.name), 0)?;
        let mut staged = StagedBatch::default();
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            if progress.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let mut lines = vec![];
            for (position, entry) in staged.entries.iter().enumerate() {
                let body = staged.body(position);
                let text = String::from_utf8_lossy(body);
                for path in &amounts {
                    visit(&text, path, &mut |raw| {
                        if let Some((amount, currency)) = money(raw) {
                            add(&mut self.sums[side], &currency, amount);
                        }
                    });
                }
                each(self, Uuid::from_bytes(entry.key), body, &mut lines)?;
            }
            if !lines.is_empty() {
                self.list.append_lines(DIFFERENCES, lines.iter().map(Vec::as_slice))?;
            }
        }
        Ok(())
    }

    fn line(
        &self,
        id: Uuid,
        change: &'static str,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> Result<Vec<u8>, StagingError> {
        let (from, to) = (from.and_then(raw), to.and_then(raw));
        let line = Difference { entity_type: &self.entity_type.name, reference_id: id, change, from, to };
        Ok(serde_json::to_vec(&line).map_err(std::io::Error::from)?)
    }

    fn is_same(&self) -> bool {
        self.added.count + self.removed.count + self.changed.count == 0
    }

    fn figures(self) -> Figure {
        let [from, to] = self.sums.map(|sums| by_currency(&sums));
        let currencies: BTreeSet<&Option<Currency>> = from.keys().chain(to.keys()).collect();
        let sum = |side: &BTreeMap<Option<Currency>, Decimal>, of| side.get(of).copied().unwrap_or_default();
        let sums = currencies.into_iter().map(|currency| {
            let (from, to) = (sum(&from, currency), sum(&to, currency));
            Figure::table([
                ("currency", Cell::from(currency.as_ref())),
                ("from", from.into()),
                ("to", to.into()),
                ("difference", (to - from).into()),
            ])
        });
        Figure::table([
            ("entityType", Figure::from(self.entity_type.name.clone())),
            ("unchanged", self.unchanged.into()),
            ("added", self.added.figures()),
            ("removed", self.removed.figures()),
            ("changed", self.changed.figures()),
            ("sums", Figure::list(sums)),
            ("fields", self.fields.figures()),
        ])
    }
}
