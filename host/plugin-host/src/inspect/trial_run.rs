//! A first run of a plugin, on an empty object: what it does with a record that has nothing in it.

use std::sync::Arc;

use super::domain::DomainPlugin;
use super::isolate::Poisoned;
use super::mapper::MapperPlugin;
use super::usage::Usage;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, PluginError};
use sluice_contract::{Found, LookupRefusal, SourceLookup};

/// Sources or entity types that are tried.
const MOST: usize = 20;

/// Finds nothing.
struct Nothing;

impl SourceLookup for Nothing {
    fn find(&self, _: &str, _: &str, _: &[&[u8]], _: usize) -> Result<Found, LookupRefusal> {
        Ok(Found::default())
    }
}

fn context() -> Context {
    Context { migration: vec![0; 16], registered_on: "1970-01-01".into() }
}

/// A record without any field, of which a sound plugin says what is missing.
fn empty() -> Batch {
    Batch { bytes: b"{}".to_vec(), ends: vec![2] }
}

/// How it broke, if it did. The record has nothing that it could quote.
fn broke(stream: &str, poisoned: &[Poisoned]) -> Option<FirstRun> {
    let failure = &poisoned.first()?.failure;
    let message = failure.message.for_quarantine();
    let how = format!("it breaks on a record of {stream} without any field ({}): {message}", failure.cause.code());
    // Whoever panics on what is missing has its records quarantined; whoever loops, eats memory or answers nonsense
    // would do that to any.
    let unfit = !matches!(failure.cause, Cause::Panicked | Cause::Trapped);
    Some(FirstRun { how, unfit })
}

/// What a first run came to that did not end well.
pub(super) struct FirstRun {
    /// How it broke.
    pub how: String,
    /// Whether that is reason enough not to take it.
    pub unfit: bool,
}

/// Lets a mapper map an empty object of each of its sources; how it breaks, if it does.
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

/// Lets a domain plugin judge an empty object of each of its entity types; how it breaks, if it does.
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
