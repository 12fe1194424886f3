//! Runs plugins in worker processes, within limits. The server's own process compiles and runs no plugin.
//!
//! It treats records as bytes, and has no access to staging, targets or HTTP. Callers pass lookups as traits.
//!
//! | module | content |
//! |---|---|
//! | `worker` | worker processes: start, pool, end |
//! | `engine` | compilation in a worker, and the sealed cache of compiled code |
//! | `library` | components by digest, and the plugins of a tenant |
//! | `inspect` | inspection of a plugin's file before it is accepted |
//! | `instance` | a plugin at work: calls, failures, isolation of failing records |
//! | `worlds` | mappers, domain plugins and platform plugins |
//! | `dev_runner` | dry run of a mapper for its author |

mod dev_runner;
mod engine;
mod inspect;
mod instance;
mod library;
mod worker;
mod worlds;

pub use dev_runner::{AuthorRun, run_for_author};
pub use engine::code_cache::CodeCache;
pub use engine::{CompiledCode, Engine, EngineOptions};
pub use inspect::{ComponentImport, Inspection, SourceInspection, inspect};
pub use instance::isolate::FailedRecord;
pub use instance::log::BatchLog;
pub use instance::usage::{ResourceUsage, Usage};
pub use library::Library;
pub use library::plugins::{MapperGrant, Plugins};
pub use sluice_plugin_protocol::Walls;
pub use worker::launcher::WorkerCommand;
pub use worlds::domain::{DomainInstance, DomainPlugin, GeneratedRecord, ImportStep, PluginOutput, ValidationOutput};
pub use worlds::mapper::{MapperInstance, MapperOutput, MapperPlugin, ProducedBatch};
pub use worlds::platform::{PlatformInstance, PlatformPlugin};
