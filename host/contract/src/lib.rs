//! The plugin contract without an engine: plugin descriptions, packed batches, and checks of plugins' output.
//!
//! A plugin can return anything, so its output passes through this crate before another part sees it. A description is
//! converted to checked types, and a batch of results is compared with the batch that it was made from.

#[cfg(any(test, fuzzing))]
mod arbitrary_plugin;
pub mod call_plan;
mod canonical_ids;
pub mod description;
mod failure;
mod lookup;
pub mod output_validation;
pub mod platform;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod vocabulary;
pub mod wire;

pub use call_plan::{CallCheck, CallPart, CallUndo, Expectation, PlannedCall, PlannedEntity};
pub use canonical_ids::CanonicalIds;
pub use description::{
    Column, ColumnKind, CountGroup, DomainDescription, EntityType, Generation, MapperDescription, Reference,
    SourceTable, TallyEntry, TallyRule,
};
pub use failure::{Cause, Confidential, PluginError, PluginFailure, PluginRefusal};
pub use lookup::{LookupAnswer, LookupRefusal, RecordLookup, SourceLookup};
pub use platform::{CallStep, PlatformDescription, PlatformKind, PlatformQuery};
pub use vocabulary::{UndeclaredText, Vocabulary};
pub use wire::{Batch, Context};
