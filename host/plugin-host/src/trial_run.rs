//! A trial run of a plugin on an empty object, that is a record without any field.

use std::sync::Arc;

use super::domain::DomainPlugin;
use super::isolate::FailedRecord;
use super::mapper::MapperPlugin;
use super::usage::Usage;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, PluginError};
use sluice_contract::{LookupAnswer, LookupRefusal, SourceLookup};

/// Maximum number of sources or entity types that are tried.
const MOST: usize = 20;

/// A lookup that finds nothing.
struct Nothing;

impl SourceLookup for Nothing {
    fn find(&self, _: &str, _: &str, _: &[&[u8]], _: usize) -> Result<LookupAnswer, LookupRefusal> {
        Ok(LookupAnswer::default())
    }
}

/// Returns a context whose migration id is all zeros.
fn context() -> Context {
    Context { migration: vec![0; 16], registered_on: "1970-01-01".into() }
}

/// Returns a batch of one record without any field. A correct plugin returns issues for the missing fields.
fn empty() -> Batch {
    Batch { bytes: b"{}".to_vec(), ends: vec![2] }
}

/// Returns the plugin's failure, if it failed. The record has no data that the message could quote.
fn broke(stream: &str, poisoned: &[FailedRecord]) -> Option<FirstRun> {
    let failure = &poisoned.first()?.failure;
    let message = failure.message.for_quarantine();
    let how = format!("it breaks on a record of {stream} without any field ({}): {message}", failure.cause.code());
    // A plugin that panics at a missing field has its records quarantined. A plugin that loops, uses too much memory or
    // returns invalid output here would do so at any record.
    let unfit = !matches!(failure.cause, Cause::Panicked | Cause::Trapped);
    Some(FirstRun { how, unfit })
}

/// Result of a trial run that failed.
pub(super) struct FirstRun {
    /// Message about the failure.
    pub how: String,
    /// True if the server must refuse the plugin for this failure.
    pub unfit: bool,
}

/// Runs a mapper on an empty object of each of its sources. Returns the first failure, if there is one.
pub(super) fn try_mapper(mapper: &Arc<MapperPlugin>) -> Result<Option<FirstRun>, PluginError> {
    let usage = Usage::default();
    for source in mapper.description.sources.iter().take(MOST) {
        let mut instance = mapper.instance(context(), Arc::new(Nothing), &usage);
        let transformed = instance.transform(&source.name, &empty())?;
        if let Some(first) = broke(&source.name, &transformed.poisoned) {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

/// Runs a domain plugin on an empty object of each of its entity types. Returns the first failure, if there is one.
pub(super) fn try_domain(domain: &Arc<DomainPlugin>) -> Result<Option<FirstRun>, PluginError> {
    let usage = Usage::default();
    for entity_type in domain.description.entity_types.iter().take(MOST) {
        let mut instance = domain.instance(context(), None, &usage);
        let validated = instance.validate(&entity_type.name, &empty())?;
        if let Some(first) = broke(&entity_type.name, &validated.poisoned) {
            return Ok(Some(first));
        }
    }
    Ok(None)
}
