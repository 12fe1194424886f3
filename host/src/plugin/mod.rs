//! The plugin boundary: the only place that knows wasmtime.
//!
//! It knows records as bytes, and nothing of staging, targets or HTTP: what a plugin may look up is
//! handed in as a trait.

mod bindings;
mod bounds;
#[cfg(test)]
mod chance;
mod classify;
mod contract;
mod domain;
mod engine;
mod failure;
mod inspect;
mod instance;
mod isolate;
mod library;
mod mapper;
mod planned;
mod platform;
mod platform_contract;
mod pool;
#[cfg(test)]
mod properties;
mod rehearse;
mod remedy;
mod returned;
mod set;
mod smoke;
mod state;
mod toolchain;
mod usage;
mod vocabulary;

pub use bindings::types::{Batch, Context};
pub use contract::{
    Column, ColumnKind, CountGroup, DomainDescription, EntityType, Generation, MapperDescription, Reference, Source,
    Tally, TallyRule,
};
pub use domain::{DomainInstance, DomainPlugin, GeneratedRecord, Made, Step, Validated};
pub use engine::Engine;
pub use failure::{Cause, Confidential, PluginError, PluginFailure, Refusal};
pub use inspect::{Inspection, inspect};
pub use isolate::Poisoned;
pub use library::{Library, embedded, embedded_platform};
pub use mapper::{Logged, MapperInstance, MapperPlugin, ProducedBatch, Transformed};
pub use planned::{Check, Expectation, Piece, PlannedCall, PlannedEntity, Undo};
pub use platform::{PlatformInstance, PlatformPlugin};
pub use platform_contract::{Kind, PlatformDescription, Query, Step as CallStep};
pub use rehearse::{Rehearsed, rehearse};
pub use set::Plugins;
pub use state::{Found, LookupRefusal, RecordLookup, SourceLookup};
pub use usage::{Taken, Usage};
pub use vocabulary::Undeclared;
