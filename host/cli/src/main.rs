//! The `sluice` command: parses, runs, and says how it ended.

mod access;
mod audit;
mod backup;
mod commands;
mod demo;
mod evidence;
mod migration;
mod plugin;
mod server;
mod view;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => {
            // Help and version are no failure; 2 has a meaning of its own.
            let code = if said.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let _ = said.print();
            return code;
        }
    };
    match commands::run(cli) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
