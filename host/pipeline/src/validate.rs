//! Validation: all staged records of the migration's domains, their references, and the rules over many.

use std::sync::Arc;

use uuid::Uuid;

use super::in_order::{in_order, workers};
use super::lookups::KnownRecords;
use super::order::{Stage, stages};
use super::quarantine::{Place, quarantine};
use super::said::{Speaker, keep_logged};
use super::tallies::{Part, Tallies};
use super::{Desk, Stop};
use sluice_catalog::{IssueCount, ListedIssue, Phase};
use sluice_contract::{Batch, EntityType, PluginError};
use sluice_model::{Figure, Issue, Progress, Severity};
use sluice_plugin_host::{DomainPlugin, Validated};
use sluice_staging::{StagedBatch, StagedEntry, StreamName};

/// Validates everything; whether there was no error, and the result: figures by code.
pub fn validate(desk: &Desk, progress: &Progress) -> Result<(bool, Figure), Stop> {
    let migration = desk.migration.reference_id;
    desk.store.clear_issues(migration, Phase::Validate, desk.config.records.listed_issues)?;
    let types: Vec<(Arc<DomainPlugin>, EntityType)> = stages(&desk.plugins, &desk.migration)
        .into_iter()
        .filter_map(|stage| match stage {
            Stage::Import(plugin, entity_type) => Some((plugin, entity_type)),
            Stage::Generate(..) => None,
        })
        .collect();
    for (_, entity_type) in &types {
        progress.expect(desk.area.count(StreamName::Records(&entity_type.name))?);
    }
    let mut pass = Pass { desk, progress, records: 0, tallies: Tallies::default() };
    for (stream, (plugin, entity_type)) in types.iter().enumerate() {
        pass.check(stream, plugin, entity_type)?;
    }
    let Pass { records, tallies, .. } = pass;
    settle(desk, &types, tallies)?;

    let counts = desk.store.issue_counts(migration, Phase::Validate)?;
    let (mut errors, mut warnings) = (0_u64, 0_u64);
    let mut by_code = vec![];
    for IssueCount { stream, severity, code, rule, count } in counts {
        *if severity == Severity::Error { &mut errors } else { &mut warnings } += count;
        let mut entry: Vec<(&str, Figure)> = vec![
            ("entityType", stream.into()),
            ("severity", severity.as_str().into()),
            ("code", code.into()),
            ("count", count.into()),
        ];
        entry.extend(rule.map(|rule| ("rule", rule.into())));
        by_code.push(Figure::table(entry));
    }
    let result = Figure::table([
        ("isValid", Figure::from(errors == 0)),
        ("numberOfRecords", records.into()),
        ("numberOfErrors", errors.into()),
        ("numberOfWarnings", warnings.into()),
        ("issuesByCode", by_code.into()),
    ]);
    Ok((errors == 0, result))
}

struct Pass<'a> {
    desk: &'a Desk,
    progress: &'a Progress,
    records: u64,
    tallies: Tallies,
}

/// Rules of all plugins are told apart by the plugin's place and the rule's.
const RULES_PER_PLUGIN: u32 = 1_000;

impl Pass<'_> {
    /// Lets the plugin judge batch by batch, on as many threads as there are cores for, and takes over what it found in
    /// the order of the records: each batch has a store of its own, so none can tell who judged the one before it.
    fn check(&mut self, stream: usize, plugin: &Arc<DomainPlugin>, entity_type: &EntityType) -> Result<(), Stop> {
        let desk = self.desk;
        let known = Arc::new(KnownRecords::new(desk.area.clone(), desk.target.clone(), desk.plugins.clone()));
        let mut reader = desk.area.reader(StreamName::Records(&entity_type.name), 0)?;
        let limits = &desk.config.upload;
        let judges = workers(|| {
            let mut instance = plugin.instance(desk.context(), Some(known.clone()), &desk.usage);
            move |mut staged: StagedBatch| -> Result<Judged, PluginError> {
                let batch = Batch { bytes: std::mem::take(&mut staged.bytes), ends: std::mem::take(&mut staged.ends) };
                let validated = instance.validate(&entity_type.name, &batch)?;
                Ok(Judged { entries: staged.entries, validated })
            }
        });
        let progress = self.progress;
        let next = || {
            if progress.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let mut staged = StagedBatch::default();
            let more = reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)?;
            Ok(more.then_some(staged))
        };
        in_order(judges, next, |judged| self.take_over(stream, plugin, entity_type, judged?))
    }

    /// Lists what was found in a batch, and adds its part in the rules over many records.
    fn take_over(
        &mut self,
        stream: usize,
        plugin: &Arc<DomainPlugin>,
        entity_type: &EntityType,
        Judged { entries, validated }: Judged,
    ) -> Result<(), Stop> {
        let desk = self.desk;
        let id = |position: u32| entries[position as usize].key;
        let issue = |position: u32, issue: Issue| ListedIssue {
            stream: entity_type.name.clone(),
            line: None,
            reference_id: Some(Uuid::from_bytes(id(position))),
            issue,
        };
        let mut listed: Vec<ListedIssue> =
            validated.issues.into_iter().map(|(position, found)| issue(position, found)).collect();
        listed.extend(
            validated
                .poisoned
                .iter()
                .map(|poisoned| issue(poisoned.position, Issue::error(poisoned.failure.cause.code()))),
        );
        let place = |position: Option<u32>| Place {
            upload: 0,
            stream: &entity_type.name,
            line: position.map(|position| entries[position as usize].ordinal),
        };
        let who = (plugin.title(), &plugin.digest);
        quarantine(&desk.area, who, &validated.poisoned, &validated.undeclared, place)?;
        let place = |position: u32| ("referenceId", Uuid::from_bytes(id(position)).into());
        let speaker = Speaker { domain: Some(&plugin.description.domain), upload: 0, place };
        keep_logged(desk, &validated.logged, &speaker)?;
        let most = desk.config.records.listed_issues;
        desk.store.add_issues(desk.migration.reference_id, Phase::Validate, &listed, most)?;
        for tally in validated.tallies {
            let entry = &entries[tally.position as usize];
            let part = Part {
                rule: plugin_place(desk, plugin) * RULES_PER_PLUGIN + tally.rule,
                key: u128::from(tally.key.0) << 64 | u128::from(tally.key.1),
                stream: stream as u32,
                ordinal: entry.ordinal,
                id: entry.key,
                amount: tally.amount,
                limit: tally.limit,
            };
            self.tallies.add(part, &desk.area)?;
        }
        let records = entries.len() as u64;
        self.records += records;
        self.progress.advance(records);
        Ok(())
    }
}

/// A batch that was judged.
struct Judged {
    entries: Vec<StagedEntry>,
    validated: Validated,
}

fn plugin_place(desk: &Desk, plugin: &Arc<DomainPlugin>) -> u32 {
    let place = desk.plugins.domains().iter().position(|other| Arc::ptr_eq(other, plugin));
    place.expect("the plugin is one of the server's") as u32
}

/// Adds an issue for each record that takes a sum past its limit.
fn settle(desk: &Desk, types: &[(Arc<DomainPlugin>, EntityType)], tallies: Tallies) -> Result<(), Stop> {
    let mut listed = vec![];
    tallies
        .settle(|part| {
            let plugin = &desk.plugins.domains()[(part.rule / RULES_PER_PLUGIN) as usize];
            let rule = &plugin.description.tally_rules[(part.rule % RULES_PER_PLUGIN) as usize];
            let issue = Issue {
                severity: Severity::Error,
                code: "RULE_VIOLATION".into(),
                field: rule.field.clone(),
                rule: Some(rule.code.clone()),
            };
            listed.push(ListedIssue {
                stream: types[part.stream as usize].1.name.clone(),
                line: None,
                reference_id: Some(Uuid::from_bytes(part.id)),
                issue,
            });
        })
        .map_err(sluice_staging::StagingError::from)?;
    let most = desk.config.records.listed_issues;
    Ok(desk.store.add_issues(desk.migration.reference_id, Phase::Validate, &listed, most)?)
}
