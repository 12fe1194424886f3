//! Invalid records, which a trial leaves out of its import.

use std::collections::{BTreeMap, HashSet};

use crate::validate::{ValidateOptions, validate};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::{IssueFilter, Pagination, Phase};
use sluice_model::{Name, Progress};
use sluice_staging::{Key, Origin};

/// Maximum number of validations after invalid records were removed. Records refer to each other over a few steps.
const MAX_ROUNDS: usize = 100;

/// Number of issues that are read at once.
const PAGE: u64 = 1_000;

/// Removes invalid records from the trial until validation finds none, and adds their origins. Returns their number by
/// entity type.
pub fn skip_invalid(
    trial_context: &MigrationContext,
    valid: bool,
    incomplete: &mut Origins,
    progress: &Progress,
) -> Result<BTreeMap<Name, u64>, Interrupt> {
    let (mut valid, mut invalid) = (valid, BTreeMap::new());
    for _ in 0..MAX_ROUNDS {
        if valid || !remove_invalid(trial_context, incomplete, &mut invalid)? {
            break;
        }
        valid = validate(trial_context, &ValidateOptions::default(), progress)?.0;
    }
    Ok(invalid)
}

/// Removes the records for which the last validation lists an error. Returns true if there were any.
fn remove_invalid(
    trial_context: &MigrationContext,
    incomplete: &mut Origins,
    invalid: &mut BTreeMap<Name, u64>,
) -> Result<bool, PipelineError> {
    let mut ids: BTreeMap<Name, Vec<Key>> = BTreeMap::new();
    each_error(trial_context, Phase::Validate, |entity_type, id| {
        ids.entry(entity_type.clone()).or_default().push(id);
        incomplete.add(trial_context, entity_type, id)
    })?;
    let mut any = false;
    for (entity_type, ids) in ids {
        let removed = trial_context.area.delete_records(&entity_type, &ids)?;
        let removed = removed.found.into_iter().filter(|removed| *removed).count() as u64;
        any |= removed > 0;
        *invalid.entry(entity_type).or_default() += removed;
    }
    Ok(any)
}

/// Calls `visit` with entity type and reference id of each error that a phase lists.
pub fn each_error(
    trial_context: &MigrationContext,
    phase: Phase,
    mut visit: impl FnMut(&Name, Key) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    let (filter, mut page) = (IssueFilter::default(), Pagination { offset: 0, limit: PAGE });
    loop {
        let (listed, total) = trial_context.store.issues(trial_context.migration.reference_id, phase, &filter, page)?;
        for listed in listed.iter().filter(|listed| listed.issue.is_error()) {
            listed.reference_id.map_or(Ok(()), |id| visit(&listed.stream, id.into_bytes()))?;
        }
        page.offset += PAGE;
        if page.offset >= total {
            return Ok(());
        }
    }
}

/// Origins of records of which validation or import refused something: stream and ordinal of a source record, or the key
/// of a record in the platform's own shape.
#[derive(Default)]
pub struct Origins(HashSet<(u16, u64, Key)>);

impl Origins {
    /// Returns the number of origins.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Adds the origin of a staged record, if it comes from an upload.
    pub fn add(&mut self, trial_context: &MigrationContext, entity_type: &Name, id: Key) -> Result<(), PipelineError> {
        match trial_context.area.record(entity_type, id)?.map(|(entry, _)| entry.origin) {
            Some(Origin::Source { stream, ordinal }) => self.0.insert((stream, ordinal, Key::default())),
            Some(Origin::Line(_)) => self.0.insert((0, 0, id)),
            Some(Origin::Generated) | None => false,
        };
        Ok(())
    }
}
