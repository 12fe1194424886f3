//! Loading records in the platform's own shape, and removing them: no mapper, the domain plugin judges.

use std::sync::Arc;

use tokio::runtime::Handle;
use uuid::Uuid;

use super::quarantine::{Place, quarantine};
use super::results::Results;
use super::said::{Speaker, keep_logged};
use super::upload::{Body, Framed, Upload, frame};
use super::{Desk, Failure};
use sluice_catalog::{ListedIssue, Phase};
use sluice_contract::Batch;
use sluice_framing::{RawBatch, scalar_text, scan_object};
use sluice_model::{Issue, Name, Outcome, RecordResult};
use sluice_plugin_host::DomainPlugin;
use sluice_staging::{DirectRecord, Origin};

/// Stages a body of records of one entity type, and answers each in order.
pub fn load_records(
    desk: &Desk,
    plugin: &Arc<DomainPlugin>,
    entity_type: &Name,
    upload: u32,
    body: Body,
    results: &mut Results,
) -> Result<Upload, Failure> {
    let mut instance = plugin.instance(desk.context(), None, &desk.usage);
    let mut done = Upload::default();
    let max_depth = desk.config.upload.max_depth;
    let received = frame(&Handle::current(), body, &desk.config.upload, |framed| {
        let Framed::Batch(raw) = framed else { return Ok(results.settle(&desk.area, true)?) };
        let mut found: Vec<Vec<Issue>> = vec![vec![]; raw.len()];
        note_faults(&raw, &mut found, max_depth);
        let (batch, positions) = whole_records(raw.bytes.as_slice(), &raw, &found);
        let validated = instance.validate(entity_type, &batch)?;
        let mut ids = vec![None; raw.len()];
        for (id, position) in validated.ids.iter().zip(&positions) {
            ids[*position] = *id;
        }
        for (position, issue) in validated.issues {
            found[positions[position as usize]].push(issue);
        }
        let mut broken = vec![None; raw.len()];
        for poisoned in &validated.poisoned {
            broken[positions[poisoned.position as usize]] = Some(poisoned.failure.cause.code());
        }
        let line = |position: u32| raw.lines[positions[position as usize]];
        let place = |position: Option<u32>| Place { upload, stream: entity_type, line: position.map(line) };
        let who = (plugin.title(), &plugin.digest);
        quarantine(&desk.area, who, &validated.poisoned, &validated.undeclared, place)?;
        let place = |position: u32| ("line", line(position).into());
        let speaker = Speaker { domain: Some(&plugin.description.domain), upload, place };
        keep_logged(desk, &validated.logged, &speaker)?;

        let mut staged = vec![];
        for position in 0..raw.len() {
            if let Some(id) = ids[position]
                && broken[position].is_none()
                && !found[position].iter().any(Issue::stops)
            {
                let origin = Origin::Line(raw.lines[position]);
                staged.push(DirectRecord { origin, id, body: raw.record(position) });
            }
        }
        let effects = desk.area.stage_records(entity_type, upload, &staged)?;
        let changes = effects.iter().filter(|effect| effect.changes()).count() as u64;
        done.note_change(desk, changes > 0)?;
        done.changes += changes;

        let mut listed = vec![];
        for (position, issues) in found.into_iter().enumerate() {
            let id = ids[position].map(Uuid::from_bytes);
            let outcome = match (broken[position], id) {
                (Some(code), _) => Outcome::Quarantined(code.into()),
                (None, Some(id)) if !issues.iter().any(Issue::stops) => Outcome::Staged(id),
                _ => Outcome::Rejected(id),
            };
            let result = RecordResult { line: raw.lines[position], outcome, issues };
            done.tally(&result);
            results.add(&result);
            list(&result, entity_type, id, &mut listed);
        }
        finish_batch(desk, &listed, results)
    });
    done.received = results.after(&desk.area, received)?;
    Ok(done)
}

/// Adds what is wrong with a record to the issues to be listed.
pub(super) fn list(result: &RecordResult, stream: &Name, id: Option<Uuid>, listed: &mut Vec<ListedIssue>) {
    let add = |issue: Issue| ListedIssue { stream: stream.clone(), line: Some(result.line), reference_id: id, issue };
    listed.extend(result.issues.iter().cloned().map(add));
    if let Outcome::Quarantined(code) = &result.outcome {
        listed.push(add(Issue::error(code.clone())));
    }
}

pub(super) fn finish_batch(desk: &Desk, listed: &[ListedIssue], results: &mut Results) -> Result<(), Failure> {
    let most = desk.config.records.listed_issues;
    desk.store.add_issues(desk.migration.reference_id, Phase::Load, listed, most)?;
    Ok(results.settle(&desk.area, false)?)
}

/// Notes what framing found, and what is no object.
fn note_faults(raw: &RawBatch, found: &mut [Vec<Issue>], max_depth: usize) {
    for (position, fault) in &raw.faults {
        found[*position as usize].push(Issue::error(fault.code()));
    }
    for (position, issues) in found.iter_mut().enumerate().filter(|(_, issues)| issues.is_empty()) {
        if let Err(fault) = scan_object(raw.record(position), max_depth, |_, _| {}) {
            issues.push(Issue::error(fault.code()));
        }
    }
}

/// The records of which nothing is known to be wrong, as a batch, with their positions.
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

/// Removes the records that a body of reference ids names, and answers each in order. An id is a JSON
/// string, or an object with a `referenceId`.
pub fn delete_records(desk: &Desk, entity_type: &str, body: Body, results: &mut Results) -> Result<Upload, Failure> {
    let mut done = Upload::default();
    let received = frame(&Handle::current(), body, &desk.config.upload, |framed| {
        let Framed::Batch(raw) = framed else { return Ok(results.settle(&desk.area, true)?) };
        let ids: Vec<Option<Uuid>> = raw.records().map(reference_id).collect();
        let known: Vec<[u8; 16]> = ids.iter().flatten().map(|id| id.into_bytes()).collect();
        let deleted = desk.area.delete_records(entity_type, &known)?;
        done.note_change(desk, deleted.contains(&true))?;
        done.changes += deleted.iter().filter(|deleted| **deleted).count() as u64;
        let mut deleted = deleted.into_iter();
        for (id, line) in ids.into_iter().zip(&raw.lines) {
            let (outcome, issues) = match id {
                None => (Outcome::Rejected(None), vec![Issue::error("INVALID_FORMAT")]),
                Some(id) if deleted.next() == Some(true) => (Outcome::Deleted(id), vec![]),
                Some(id) => (Outcome::Rejected(Some(id)), vec![Issue::error("UNKNOWN_REFERENCE")]),
            };
            let result = RecordResult { line: *line, outcome, issues };
            done.tally(&result);
            results.add(&result);
        }
        Ok(results.settle(&desk.area, false)?)
    });
    done.received = results.after(&desk.area, received)?;
    Ok(done)
}

fn reference_id(record: &[u8]) -> Option<Uuid> {
    let text = std::str::from_utf8(record).ok()?;
    if !text.starts_with('{') {
        // Bare, or as a JSON string.
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
