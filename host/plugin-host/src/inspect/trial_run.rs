//! Trial run of a plugin on an empty object, during inspection.

use std::sync::Arc;

use crate::instance::isolate::FailedRecord;
use crate::instance::usage::Usage;
use crate::worlds::domain::DomainPlugin;
use crate::worlds::mapper::MapperPlugin;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, PluginError};
use sluice_contract::{LookupAnswer, LookupRefusal, SourceLookup};

/// Maximum number of sources or entity types that are tried.
const MAX_TRIALS: usize = 20;

/// Lookups that find no record.
struct EmptyLookup;

impl SourceLookup for EmptyLookup {
    fn find(&self, _: &str, _: &str, _: &[&[u8]], _: usize) -> Result<LookupAnswer, LookupRefusal> {
        Ok(LookupAnswer::default())
    }
}

/// Returns the context of a trial run.
fn context() -> Context {
    Context { migration: vec![0; 16], registered_on: "1970-01-01".into() }
}

/// Returns a batch of one record without fields. A correct plugin reports the missing fields.
fn empty() -> Batch {
    Batch { bytes: b"{}".to_vec(), ends: vec![2] }
}

/// Returns the failure of a trial run, if any. The empty record contains nothing that the message could quote.
fn failure_of(stream: &str, failed: &[FailedRecord]) -> Option<TrialRunFailure> {
    let failure = &failed.first()?.failure;
    let (code, text) = (failure.cause.code(), failure.message.for_quarantine());
    let message = format!("it breaks on a record of {stream} without any field ({code}): {text}");
    // A plugin that panics on missing fields is accepted, and such records are quarantined. A plugin that loops, exceeds its
    // memory or breaks the contract would do so on any record.
    let unfit = !matches!(failure.cause, Cause::Panicked | Cause::Trapped);
    Some(TrialRunFailure { message, unfit })
}

/// Failure of a trial run.
pub(crate) struct TrialRunFailure {
    /// Message for the plugin's author.
    pub message: String,
    /// True if the plugin must be refused.
    pub unfit: bool,
}

/// Runs a mapper on an empty object of each of its sources. Returns the first failure.
pub(crate) fn try_mapper(mapper: &Arc<MapperPlugin>) -> Result<Option<TrialRunFailure>, PluginError> {
    let usage = Usage::default();
    for source in mapper.description.sources.iter().take(MAX_TRIALS) {
        let mut instance = mapper.instance(context(), Arc::new(EmptyLookup), &usage);
        let transformed = instance.transform(&source.name, &empty())?;
        if let Some(failure) = failure_of(&source.name, &transformed.failed) {
            return Ok(Some(failure));
        }
    }
    Ok(None)
}

/// Runs a domain plugin on an empty object of each of its entity types. Returns the first failure.
pub(crate) fn try_domain(domain: &Arc<DomainPlugin>) -> Result<Option<TrialRunFailure>, PluginError> {
    let usage = Usage::default();
    for entity_type in domain.description.entity_types.iter().take(MAX_TRIALS) {
        let mut instance = domain.instance(context(), None, &usage);
        let validated = instance.validate(&entity_type.name, &empty())?;
        if let Some(failure) = failure_of(&entity_type.name, &validated.failed) {
            return Ok(Some(failure));
        }
    }
    Ok(None)
}
