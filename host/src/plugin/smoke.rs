//! A first run of a plugin, on batches without a record: what breaks on nothing breaks on everything.

use std::sync::Arc;

use super::bindings::types::{Batch, Context};
use super::domain::DomainPlugin;
use super::failure::PluginError;
use super::isolate::Poisoned;
use super::mapper::MapperPlugin;
use super::state::{Found, LookupRefusal, SourceLookup};
use super::usage::Usage;

/// Sources or entity types that are tried.
const MOST: usize = 20;

/// Finds nothing.
struct Nothing;

impl SourceLookup for Nothing {
    fn find(&self, _: &str, _: &str, _: &[&[u8]], _: usize) -> Result<Found, LookupRefusal> {
        Ok(vec![])
    }
}

fn context() -> Context {
    Context { migration: vec![0; 16], registered_on: "1970-01-01".into() }
}

fn empty() -> Batch {
    Batch { bytes: vec![], ends: vec![] }
}

/// How it broke, if it did. It has seen no record that it could quote.
fn broke(stream: &str, poisoned: &[Poisoned]) -> Option<String> {
    let failure = &poisoned.first()?.failure;
    let message = failure.message.for_quarantine();
    Some(format!("it breaks on a batch of {stream} without any record ({}): {message}", failure.cause.code()))
}

/// Lets a mapper map nothing of each of its sources; how it breaks, if it does.
pub(super) fn try_mapper(mapper: &Arc<MapperPlugin>) -> Result<Option<String>, PluginError> {
    for source in mapper.description.sources.iter().take(MOST) {
        let transformed =
            mapper.instance(context(), Arc::new(Nothing), &Usage::default()).transform(&source.name, &empty())?;
        if let Some(how) = broke(&source.name, &transformed.poisoned) {
            return Ok(Some(how));
        }
    }
    Ok(None)
}

/// Lets a domain plugin judge and plan nothing of each of its entity types; how it breaks, if it does.
pub(super) fn try_domain(domain: &Arc<DomainPlugin>) -> Result<Option<String>, PluginError> {
    for entity_type in domain.description.entity_types.iter().take(MOST) {
        let mut instance = domain.instance(context(), None, &Usage::default());
        let validated = instance.validate(&entity_type.name, &empty())?;
        let planned = instance.plan(&entity_type.name, &empty())?;
        let how = broke(&entity_type.name, &validated.poisoned);
        if let Some(how) = how.or_else(|| broke(&entity_type.name, &planned.poisoned)) {
            return Ok(Some(how));
        }
    }
    Ok(None)
}
