//! Runs plugins in wasmtime, within limits. Only this crate depends on wasmtime.
//!
//! It treats records as bytes, and has no access to staging, targets or HTTP. Callers pass lookups as traits.
//!
//! | module | content |
//! |---|---|
//! | `bindings` | bindings to the contract in `wit/`, and conversions to plain types |
//! | `engine` | compilation, the cache of compiled code, the pool of stores |
//! | `library` | components by digest, and the plugins of a tenant |
//! | `inspect` | inspection of a plugin's file before it is accepted |
//! | `instance` | a plugin at work: stores, limits, failures, isolation of failing records |
//! | `worlds` | mappers, domain plugins and platform plugins |
//! | `dev_runner` | dry run of a mapper for its author |

mod bindings;
mod dev_runner;
mod engine;
mod inspect;
mod instance;
mod library;
mod worlds;

pub use dev_runner::{AuthorRun, run_for_author};
pub use engine::Engine;
pub use inspect::{ComponentImport, Inspection, SourceInspection, inspect};
pub use instance::isolate::FailedRecord;
pub use instance::log::BatchLog;
pub use instance::usage::{ResourceUsage, Usage};
pub use library::Library;
pub use library::plugins::Plugins;
pub use worlds::domain::{DomainInstance, DomainPlugin, GeneratedRecord, ImportStep, PluginOutput, ValidationOutput};
pub use worlds::mapper::{MapperInstance, MapperOutput, MapperPlugin, ProducedBatch};
pub use worlds::platform::{PlatformInstance, PlatformPlugin};
