//! The plugin boundary: the only place that knows wasmtime.
//!
//! It knows records as bytes, and nothing of staging, targets or HTTP: what a plugin may look up is
//! handed in as a trait.

mod bindings;
mod contract;
mod domain;
mod engine;
mod failure;
mod inspect;
mod instance;
mod isolate;
mod mapper;
mod meter;
mod registry;
mod rehearse;
mod remedy;
mod state;
mod vocabulary;

pub use bindings::types::{Batch, Context};
pub use contract::{
    Column, ColumnKind, CountGroup, DomainDescription, EntityType, Generation, MapperDescription, Reference, Source,
    Tally, TallyRule,
};
pub use domain::{DomainInstance, DomainPlugin, GeneratedRecord, Made, Step, Validated};
pub use engine::Engine;
pub use failure::{Cause, Confidential, PluginError, PluginFailure};
pub use inspect::{Inspection, World, inspect};
pub use isolate::{Poisoned, Tolerance};
pub use mapper::{MapperInstance, MapperPlugin, ProducedBatch, Transformed};
pub use meter::Usage;
pub use registry::Plugins;
pub use rehearse::{Rehearsed, rehearse};
pub use state::{Found, LookupRefusal, RecordLookup, SourceLookup};
pub use vocabulary::Undeclared;
