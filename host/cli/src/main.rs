//! The `sluice` command: parses the command line, runs the verb, and exits with its code.

mod access;
mod audit;
mod backup;
mod commands;
mod demo;
mod evidence;
mod explain;
mod format;
mod migration;
mod output;
mod panics;
mod plugin;
mod progress;
mod server;

use std::process::ExitCode;

use clap::Parser;

use sluice_plugin_host::WorkerCommand;

use crate::output::{OutputClosed, warn};

fn main() -> ExitCode {
    // A worker has its own life: no command line, no runtime with threads, no log.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == WorkerCommand::ARGUMENT) {
        return sluice_plugin_worker::run();
    }
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Clap reports help and version as errors. Its own exit code for misuse, 2, has another meaning here.
            let code = if message.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let _ = message.print();
            return code;
        }
    };
    match commands::run(cli) {
        Ok(_) if panics::happened() => {
            warn("error: a part of the command failed because of a defect: see the message above (HOST_PANICKED)\n");
            ExitCode::FAILURE
        }
        Ok(code) => code.into(),
        Err(error) if error.is::<OutputClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            warn(&format!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
