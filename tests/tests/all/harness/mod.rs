//! Servers, clients, records and tools that the tests share.

pub mod canary;
pub mod canary_records;
pub mod clients;
pub mod killable_server;
pub mod lender;
pub mod neighbour;
pub mod raw_http;
pub mod recorded_server;
pub mod server;
pub mod tools;

use std::sync::{Arc, OnceLock};

use sluice_config::PluginLimits;
use sluice_plugin_host::{Engine, EngineOptions, WorkerCommand};

/// Returns the command that starts plugin workers: the built `sluice`.
pub fn worker() -> WorkerCommand {
    static COMMAND: OnceLock<WorkerCommand> = OnceLock::new();
    COMMAND.get_or_init(|| WorkerCommand::program(recorded_server::command())).clone()
}

/// Returns an engine with these limits, without a cache.
pub fn engine(plugin: PluginLimits) -> Arc<Engine> {
    Engine::new(EngineOptions { plugin, command: worker(), ..EngineOptions::default() }).unwrap()
}
