//! Staging of records in the platform's own shape, without a mapper, and their deletion.

use std::sync::Arc;

use tokio::runtime::Handle;
use uuid::Uuid;

use crate::load::UploadSummary;
use crate::load::issue_notes::{notes_of, superseded_issues};
use crate::load::record_lines::{RecordLines, fault_issue};
use crate::load::record_stream::{FrameEvent, RecordStream, frame};
use crate::load::results::ResultWriter;
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::quarantine::{QuarantinePosition, quarantine};
use crate::{MigrationContext, PipelineError};
use sluice_catalog::ListedIssue;
use sluice_contract::{Batch, CanonicalIds};
use sluice_framing::{RawBatch, scalar_text, scan_object};
use sluice_model::{Code, Issue, Name, RecordOutcome, RecordResult};
use sluice_plugin_host::DomainPlugin;
use sluice_staging::{
    DeletedRecords, DirectRecord, Effect, Origin, SourceStatus, StagingEffects, SupersededEntry, UploadEntries,
};

/// Validates and stages a stream of records of one entity type, and writes a result for each in order.
pub fn load_records(
    context: &MigrationContext,
    plugin: &Arc<DomainPlugin>,
    entity_type: &Name,
    upload: u32,
    stream: RecordStream,
    results: &mut ResultWriter,
) -> Result<UploadSummary, PipelineError> {
    let mut instance = plugin.instance(context.plugin_context(), None, &context.usage);
    let mut summary = UploadSummary::default();
    let mut entries = UploadEntries::new(upload);
    let canonical_ids = plugin.entity_type(entity_type).map(CanonicalIds::new).unwrap_or_default();
    let max_depth = context.config.upload.max_depth;
    let totals = frame(&Handle::current(), stream, &context.config.upload, false, |framed| {
        let FrameEvent::Batch(mut raw, _) = framed else { return Ok(results.flush(&context.area, true)?) };
        let mut found: Vec<Vec<Issue>> = vec![vec![]; raw.len()];
        note_faults(plugin, &raw, &mut found, max_depth);
        canonicalise(&mut raw, &found, &canonical_ids);
        let (batch, positions) = whole_records(raw.bytes.as_slice(), &raw, &found);
        let validated = instance.validate(entity_type, &batch)?;
        let mut ids = vec![None; raw.len()];
        for (id, position) in validated.ids.iter().zip(&positions) {
            ids[*position] = *id;
        }
        for (position, issue) in validated.issues {
            found[positions[position as usize]].push(issue);
        }
        let mut failures = vec![None; raw.len()];
        for failed in &validated.failed {
            failures[positions[failed.position as usize]] = Some(failed.failure.cause.code());
        }
        let line = |position: u32| raw.lines[positions[position as usize]];
        let place =
            |position: Option<u32>| QuarantinePosition { upload, stream: entity_type, line: position.map(line) };
        let who = (plugin.title(), &plugin.digest);
        quarantine(&context.area, who, &validated.failed, &validated.undeclared, place)?;
        let place = |position: u32| ("line", line(position).into());
        let log_origin = PluginLogOrigin { domain: Some(&plugin.description.domain), upload, place };
        write_plugin_log(context, &validated.logged, &log_origin)?;

        let codes: Vec<Option<Code>> = (0..raw.len())
            .map(|position| {
                let failure = failures[position].map(Code::from);
                let issue = || found[position].iter().find(|issue| issue.is_error()).map(|issue| issue.code.clone());
                failure.or_else(issue).or_else(|| ids[position].is_none().then(|| "MISSING_REQUIRED_FIELD".into()))
            })
            .collect();
        let notes: Vec<Vec<u8>> =
            found.iter().zip(&codes).map(|(issues, code)| notes_of(code.as_ref(), issues)).collect();
        let records: Vec<DirectRecord> = (0..raw.len())
            .map(|position| {
                let failed = failures[position].is_some();
                let status = if failed { SourceStatus::Quarantined } else { SourceStatus::Rejected };
                DirectRecord {
                    origin: Origin::Line(raw.lines[position]),
                    id: ids[position],
                    body: raw.record(position),
                    refused: codes[position].as_ref().map(|code| (status, &**code)),
                    notes: &notes[position],
                }
            })
            .collect();
        let StagingEffects { effects, superseded } = context.area.stage_records(entity_type, &mut entries, &records)?;
        drop(records);
        let changes = effects.iter().filter(|effect| effect.changes()).count() as u64;
        summary.note_change(context, changes > 0)?;
        summary.changes += changes;

        let mut listed = vec![];
        for (position, (mut issues, effect)) in found.into_iter().zip(effects).enumerate() {
            if let Effect::DuplicateReferenceId { first, .. } = effect {
                issues.push(Issue::duplicate("DUPLICATE_REFERENCE_ID", first));
            }
            let id = ids[position].map(Uuid::from_bytes);
            let outcome = match (failures[position], id) {
                (Some(code), _) => RecordOutcome::Quarantined(code.into()),
                (None, Some(id)) if !issues.iter().any(Issue::is_error) => RecordOutcome::Staged(id),
                _ => RecordOutcome::Rejected(id),
            };
            let result = RecordLines::of(&raw, position).result(outcome, issues);
            summary.tally(&result);
            results.add(&result);
            // The issues of an unchanged record were listed when it was staged.
            if effect.changes() {
                list(&result, entity_type, upload, id, &mut listed);
            }
        }
        finish_batch(context, &listed, superseded, results)
    });
    summary.set_input(results.after(&context.area, totals)?);
    summary.confirmed = entries.confirmed().collect();
    Ok(summary)
}

/// Adds the issues of a record to the issues to be listed.
pub(crate) fn list(result: &RecordResult, stream: &Name, upload: u32, id: Option<Uuid>, listed: &mut Vec<ListedIssue>) {
    let (line, upload) = (Some(result.line), Some(upload));
    let add = |issue: Issue| ListedIssue { stream: stream.clone(), line, upload, reference_id: id, issue };
    listed.extend(result.issues.iter().cloned().map(add));
    if let RecordOutcome::Quarantined(code) = &result.outcome {
        listed.push(add(Issue::error(code.clone())));
    }
}

/// Lists the issues of a batch, takes back those of the records that it replaced, and starts to write results if they
/// are due.
pub(crate) fn finish_batch(
    context: &MigrationContext,
    listed: &[ListedIssue],
    superseded: Vec<SupersededEntry>,
    results: &mut ResultWriter,
) -> Result<(), PipelineError> {
    let most = context.config.records.listed_issues;
    let superseded = superseded_issues(superseded);
    context.store.replace_upload_issues(context.migration.reference_id, listed, &superseded, most)?;
    Ok(results.flush(&context.area, false)?)
}

/// Adds the faults of framing, and of records that are not JSON objects.
fn note_faults(plugin: &DomainPlugin, raw: &RawBatch, found: &mut [Vec<Issue>], max_depth: usize) {
    let declared = |name: &str| plugin.declared_field(name);
    for (position, fault) in &raw.faults {
        found[*position as usize].push(fault_issue(*fault, raw.record(*position as usize), declared));
    }
    for (position, issues) in found.iter_mut().enumerate().filter(|(_, issues)| issues.is_empty()) {
        if let Err(fault) = scan_object(raw.record(position), max_depth, |_, _| {}) {
            issues.push(fault_issue(fault, raw.record(position), declared));
        }
    }
}

/// Rewrites the ids of the records without a fault in their canonical form.
fn canonicalise(raw: &mut RawBatch, found: &[Vec<Issue>], ids: &CanonicalIds) {
    let mut start = 0;
    for (end, issues) in raw.ends.iter().zip(found) {
        let end = *end as usize;
        if issues.is_empty() {
            ids.canonicalise(&mut raw.bytes[start..end]);
        }
        start = end;
    }
}

/// Returns the records without a fault as a batch, with their positions.
fn whole_records(bytes: &[u8], raw: &RawBatch, found: &[Vec<Issue>]) -> (Batch, Vec<usize>) {
    let positions: Vec<usize> = (0..raw.len()).filter(|position| found[*position].is_empty()).collect();
    if positions.len() == raw.len() {
        return (Batch { bytes: bytes.to_vec(), ends: raw.ends.clone() }, positions);
    }
    let mut batch = Batch { bytes: vec![], ends: vec![] };
    for position in &positions {
        batch.bytes.extend_from_slice(raw.record(*position));
        batch.ends.push(batch.bytes.len() as u32);
    }
    (batch, positions)
}

/// Deletes the records whose reference ids a stream names, and writes a result for each in order. An id is a JSON
/// string, or an object with a `referenceId`.
pub fn delete_records(
    context: &MigrationContext,
    entity_type: &str,
    stream: RecordStream,
    results: &mut ResultWriter,
) -> Result<UploadSummary, PipelineError> {
    let mut summary = UploadSummary::default();
    let totals = frame(&Handle::current(), stream, &context.config.upload, false, |framed| {
        let FrameEvent::Batch(raw, _) = framed else { return Ok(results.flush(&context.area, true)?) };
        let ids: Vec<Option<Uuid>> = raw.records().map(reference_id).collect();
        let known: Vec<[u8; 16]> = ids.iter().flatten().map(|id| id.into_bytes()).collect();
        let DeletedRecords { found: deleted, superseded } = context.area.delete_records(entity_type, &known)?;
        UploadSummary::withdraw_issues(context, superseded)?;
        summary.note_change(context, deleted.contains(&true))?;
        summary.changes += deleted.iter().filter(|deleted| **deleted).count() as u64;
        let mut deleted = deleted.into_iter();
        for (position, id) in ids.into_iter().enumerate() {
            let (outcome, issues) = match id {
                None => (RecordOutcome::Rejected(None), vec![Issue::error("INVALID_FORMAT")]),
                Some(id) if deleted.next() == Some(true) => (RecordOutcome::Deleted(id), vec![]),
                Some(id) => (RecordOutcome::Rejected(Some(id)), vec![Issue::error("UNKNOWN_REFERENCE")]),
            };
            let result = RecordLines::of(&raw, position).result(outcome, issues);
            summary.tally(&result);
            results.add(&result);
        }
        Ok(results.flush(&context.area, false)?)
    });
    summary.set_input(results.after(&context.area, totals)?);
    Ok(summary)
}

fn reference_id(record: &[u8]) -> Option<Uuid> {
    let text = std::str::from_utf8(record).ok()?;
    if !text.starts_with('{') {
        // A plain id, or a JSON string.
        return Uuid::try_parse(text.trim_matches('"')).ok();
    }
    let mut id = None;
    scan_object(record, 1, |name, value| {
        if name == "referenceId" {
            id = scalar_text(value).and_then(|text| Uuid::try_parse(&text).ok());
        }
    })
    .ok()?;
    id
}
