//! Validation of all staged records of the migration's domains, with their references and the rules over many records.

mod tallies;

use std::sync::Arc;

use uuid::Uuid;

use crate::import::stages::{ImportStage, stages};
use crate::lookups::KnownRecords;
use crate::parallel::{ordered_parallel, workers};
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::quarantine::{QuarantinePosition, quarantine};
use crate::{Interrupt, MigrationContext};
use sluice_catalog::{IssueTotal, ListedIssue, Phase};
use sluice_contract::{Batch, EntityType, PluginError, TallyEntry, TallyRule};
use sluice_model::{Domain, Issue, Progress, SafeValue, Severity};
use sluice_plugin_host::{DomainPlugin, ValidationOutput};
use sluice_staging::{Origin, StagedBatch, StagedEntry, StreamName};
use tallies::{Tallies, TallyPart};

/// Options of a validation.
#[derive(Clone, Debug, Default)]
pub struct ValidateOptions {
    /// Domains whose records are validated; all if none. A validation of some domains does not change the status of the
    /// migration.
    pub domains: Option<Vec<&'static Domain>>,
}

impl ValidateOptions {
    fn covers(&self, plugin: &DomainPlugin) -> bool {
        let of = |domains: &Vec<&'static Domain>| domains.iter().any(|of| plugin.description.domain == of.component);
        self.domains.as_ref().is_none_or(of)
    }
}

/// Validates staged records. Returns true if there is no error, and the figures by code.
pub fn validate(
    context: &MigrationContext,
    options: &ValidateOptions,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    let migration = context.migration.reference_id;
    let types: Vec<(Arc<DomainPlugin>, EntityType)> = stages(&context.plugins, &context.migration)
        .into_iter()
        .filter_map(|stage| match stage {
            ImportStage::Import(plugin, entity_type) if options.covers(&plugin) => Some((plugin, entity_type)),
            ImportStage::Import(..) | ImportStage::Generate(..) => None,
        })
        .collect();
    let streams: Vec<&str> = types.iter().map(|(_, entity_type)| &*entity_type.name).collect();
    let streams = options.domains.is_some().then_some(&streams[..]);
    context.store.clear_issues_of(migration, Phase::Validate, streams, context.config.records.listed_issues)?;
    for (_, entity_type) in &types {
        progress.expect(context.area.count(StreamName::Records(&entity_type.name))?);
    }
    let mut run = ValidationRun { context, progress, records: 0, tallies: Tallies::default() };
    for (stream, (plugin, entity_type)) in types.iter().enumerate() {
        run.check(stream, plugin, entity_type)?;
    }
    let ValidationRun { records, tallies, .. } = run;
    let mut issues = vec![];
    report_tallies(context, &types, tallies, &mut issues)?;
    context.store.add_issues(migration, Phase::Validate, &issues, context.config.records.listed_issues)?;
    let mut counts = context.store.issue_counts(migration, Phase::Validate)?;
    counts.retain(|count| streams.is_none_or(|streams| streams.contains(&&*count.stream)));
    Ok(summary(records, counts))
}

/// Returns true if no issue is an error, and the figures by code. Warnings stop nothing.
fn summary(records: u64, counts: Vec<IssueTotal>) -> (bool, SafeValue) {
    let (mut errors, mut warnings) = (0_u64, 0_u64);
    let mut by_code = vec![];
    for IssueTotal { stream, severity, code, rule, count } in counts {
        *if severity == Severity::Error { &mut errors } else { &mut warnings } += count;
        let mut entry: Vec<(&str, SafeValue)> = vec![
            ("entityType", stream.into()),
            ("severity", severity.as_str().into()),
            ("code", code.into()),
            ("count", count.into()),
        ];
        entry.extend(rule.map(|rule| ("rule", rule.into())));
        by_code.push(SafeValue::table(entry));
    }
    let result = SafeValue::table([
        ("isValid", SafeValue::from(errors == 0)),
        ("numberOfRecords", records.into()),
        ("numberOfErrors", errors.into()),
        ("numberOfWarnings", warnings.into()),
        ("issuesByCode", by_code.into()),
    ]);
    (errors == 0, result)
}

/// Checks the rules over many records of one entity type on all its staged records, generated ones included. Returns an
/// issue for each record that takes a sum over its limit.
pub(crate) fn tally_issues(
    context: &MigrationContext,
    plugin: &Arc<DomainPlugin>,
    entity_type: &EntityType,
    progress: &Progress,
) -> Result<Vec<ListedIssue>, Interrupt> {
    let known = Arc::new(KnownRecords::new(context.area.clone(), context.target.clone(), context.plugins.clone()));
    let mut instance = plugin.instance(context.plugin_context(), Some(known), &context.usage);
    let mut reader = context.area.reader(StreamName::Records(&entity_type.name), 0)?;
    let limits = &context.config.upload;
    let (mut tallies, mut staged) = (Tallies::default(), StagedBatch::default());
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        if progress.is_cancelled() {
            return Err(Interrupt::Cancelled);
        }
        let batch = Batch { bytes: staged.bytes.clone(), ends: staged.ends.clone() };
        for tally in instance.validate(&entity_type.name, &batch)?.tallies {
            let entry = &staged.entries[tally.position as usize];
            tallies.add(tally_part(context, plugin, 0, entry, &tally), &context.area)?;
        }
    }
    let mut issues = vec![];
    report_tallies(context, &[(plugin.clone(), entity_type.clone())], tallies, &mut issues)?;
    Ok(issues)
}

/// Returns a record's part of a rule over many records. `stream` is the index of its entity type.
fn tally_part(
    context: &MigrationContext,
    plugin: &Arc<DomainPlugin>,
    stream: usize,
    entry: &StagedEntry,
    tally: &TallyEntry,
) -> TallyPart {
    TallyPart {
        rule: plugin_place(context, plugin) * RULES_PER_PLUGIN + tally.rule,
        key: u128::from(tally.key.0) << 64 | u128::from(tally.key.1),
        stream: stream as u32,
        ordinal: entry.ordinal,
        id: entry.key,
        amount: tally.amount,
        limit: tally.limit,
    }
}

struct ValidationRun<'a> {
    context: &'a MigrationContext,
    progress: &'a Progress,
    records: u64,
    tallies: Tallies,
}

/// Factor that makes the numbers of all plugins' rules distinct: the index of the plugin times this, plus the index of
/// the rule.
const RULES_PER_PLUGIN: u32 = 1_000;

impl ValidationRun<'_> {
    /// Validates an entity type batch by batch, on as many threads as there are cores, and takes the results in the
    /// order of the records. Each batch has a plugin store of its own, so the result does not depend on the threads.
    fn check(&mut self, stream: usize, plugin: &Arc<DomainPlugin>, entity_type: &EntityType) -> Result<(), Interrupt> {
        let context = self.context;
        let known = Arc::new(KnownRecords::new(context.area.clone(), context.target.clone(), context.plugins.clone()));
        let mut reader = context.area.reader(StreamName::Records(&entity_type.name), 0)?;
        let limits = &context.config.upload;
        let validators = workers(|| {
            let mut instance = plugin.instance(context.plugin_context(), Some(known.clone()), &context.usage);
            move |mut staged: StagedBatch| -> Result<ValidatedBatch, PluginError> {
                let batch = Batch { bytes: std::mem::take(&mut staged.bytes), ends: std::mem::take(&mut staged.ends) };
                let validated = instance.validate(&entity_type.name, &batch)?;
                Ok(ValidatedBatch { entries: staged.entries, validated })
            }
        });
        let progress = self.progress;
        let next = || {
            if progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            loop {
                let mut staged = StagedBatch::default();
                if !reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
                    return Ok(None);
                }
                // Generated records follow from others. The import validates them when it makes them, and makes them anew
                // when something changes.
                let read = staged.len();
                staged.retain(|entry| entry.origin != Origin::Generated);
                progress.advance((read - staged.len()) as u64);
                if !staged.is_empty() {
                    return Ok(Some(staged));
                }
            }
        };
        ordered_parallel(validators, next, |validated| self.collect(stream, plugin, entity_type, validated?))
    }

    /// Lists the issues of a batch, and adds its parts of the rules over many records.
    fn collect(
        &mut self,
        stream: usize,
        plugin: &Arc<DomainPlugin>,
        entity_type: &EntityType,
        ValidatedBatch { entries, validated }: ValidatedBatch,
    ) -> Result<(), Interrupt> {
        let context = self.context;
        let id = |position: u32| entries[position as usize].key;
        let issue = |position: u32, issue: Issue| ListedIssue {
            stream: entity_type.name.clone(),
            line: None,
            upload: None,
            reference_id: Some(Uuid::from_bytes(id(position))),
            issue,
        };
        let mut listed: Vec<ListedIssue> =
            validated.issues.into_iter().map(|(position, found)| issue(position, found)).collect();
        listed.extend(
            validated.failed.iter().map(|failed| issue(failed.position, Issue::error(failed.failure.cause.code()))),
        );
        let place = |position: Option<u32>| QuarantinePosition {
            upload: 0,
            stream: &entity_type.name,
            line: position.map(|position| entries[position as usize].ordinal),
        };
        let who = (plugin.title(), &plugin.digest);
        quarantine(&context.area, who, &validated.failed, &validated.undeclared, place)?;
        let place = |position: u32| ("referenceId", Uuid::from_bytes(id(position)).into());
        let log_origin = PluginLogOrigin { domain: Some(&plugin.description.domain), upload: 0, place };
        write_plugin_log(context, &validated.logged, &log_origin)?;
        let most = context.config.records.listed_issues;
        context.store.add_issues(context.migration.reference_id, Phase::Validate, &listed, most)?;
        for tally in validated.tallies {
            let entry = &entries[tally.position as usize];
            let part = tally_part(context, plugin, stream, entry, &tally);
            self.tallies.add(part, &context.area)?;
        }
        let records = entries.len() as u64;
        self.records += records;
        self.progress.advance(records);
        Ok(())
    }
}

/// A validated batch.
struct ValidatedBatch {
    entries: Vec<StagedEntry>,
    validated: ValidationOutput,
}

fn plugin_place(context: &MigrationContext, plugin: &Arc<DomainPlugin>) -> u32 {
    let place = context.plugins.domains().iter().position(|other| Arc::ptr_eq(other, plugin));
    place.expect("the plugin is one of the server's") as u32
}

/// Adds an issue for each record that takes a sum over its limit.
fn report_tallies(
    context: &MigrationContext,
    types: &[(Arc<DomainPlugin>, EntityType)],
    tallies: Tallies,
    listed: &mut Vec<ListedIssue>,
) -> Result<(), Interrupt> {
    tallies
        .for_each_over_limit(|part| {
            let plugin = &context.plugins.domains()[(part.rule / RULES_PER_PLUGIN) as usize];
            let rule = &plugin.description.tally_rules[(part.rule % RULES_PER_PLUGIN) as usize];
            listed.push(ListedIssue {
                stream: types[part.stream as usize].1.name.clone(),
                line: None,
                upload: None,
                reference_id: Some(Uuid::from_bytes(part.id)),
                issue: tally_issue(rule),
            });
        })
        .map_err(sluice_staging::StagingError::from)?;
    Ok(())
}

/// Returns the issue of a record that takes a sum over the rule's limit. The rule declares its severity.
fn tally_issue(rule: &TallyRule) -> Issue {
    Issue {
        severity: rule.severity,
        code: "RULE_VIOLATION".into(),
        field: rule.field.clone(),
        rule: Some(rule.code.clone()),
        first_line: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::TestServer;
    use sluice_model::{Code, FieldPath, Name};

    /// A rule that is declared a warning yields warnings, which stop nothing. A rule that is declared an error yields
    /// errors.
    #[test]
    fn a_tally_rule_has_the_severity_that_it_declares() {
        let server = TestServer::new();
        for severity in [Severity::Warning, Severity::Error] {
            let rule = TallyRule { code: Code::new("PAID_TWICE"), severity, field: FieldPath::from_storage("amount") };
            let issue = tally_issue(&rule);
            assert_eq!((issue.severity, issue.is_error()), (severity, severity == Severity::Error));
            assert_eq!(issue.rule, Some(Code::new("PAID_TWICE")));
            let migration = server.register();
            let listed =
                ListedIssue { stream: Name::new("loans"), line: None, upload: None, reference_id: None, issue };
            server.store.add_issues(migration, Phase::Validate, &[listed], 10).unwrap();
            let (valid, result) = summary(7, server.store.issue_counts(migration, Phase::Validate).unwrap());
            assert_eq!(valid, severity == Severity::Warning);
            let result: serde_json::Value = serde_json::to_value(result).unwrap();
            let warnings = u64::from(severity == Severity::Warning);
            assert_eq!(
                (&result["numberOfWarnings"], &result["numberOfErrors"]),
                (&warnings.into(), &(1 - warnings).into())
            );
        }
    }
}
