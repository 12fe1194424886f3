//! The plugin contract without an engine: plugin descriptions, packed batches, and checks of plugins' output.
//!
//! A plugin can return anything. Everything it returns passes through this crate before another part sees it: a
//! description becomes the host's own words, and a batch of results is checked against the batch it was made from.

#[cfg(any(test, fuzzing))]
mod arbitrary_plugin;
pub mod call_plan;
pub mod description;
mod failure;
mod lookup;
pub mod output_validation;
pub mod platform;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod vocabulary;
pub mod wire;

pub use call_plan::{Check, Expectation, Piece, PlannedCall, PlannedEntity, Undo};
pub use description::{
    Column, ColumnKind, CountGroup, DomainDescription, EntityType, Generation, MapperDescription, Reference, Source,
    Tally, TallyRule,
};
pub use failure::{Cause, Confidential, PluginError, PluginFailure, Refusal};
pub use lookup::{Found, LookupRefusal, RecordLookup, SourceLookup};
pub use platform::{Kind, PlatformDescription, Query, Step as CallStep};
pub use vocabulary::{Undeclared, Vocabulary};
pub use wire::{Batch, Context};
