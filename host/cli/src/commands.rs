//! The command line: its verbs, and their dispatch.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::server::serve::{LogFormat, ServeArgs};
use crate::server::telemetry;
use crate::{access, audit, backup, demo, evidence, explain, migration, plugin, server};

/// Moves a lender's data into a new lending platform, through sandboxed plugins.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = "Begin with: sluice demo")]
pub struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Generate a synthetic bank, and move it through all five steps on this machine
    #[command(after_help = "Example: sluice demo --customers 20000 --spoil 0.01\n\nExit codes: 0 all counts are as \
                      expected, 1 counts differ or something failed, 130 interrupted.")]
    Demo(demo::command::DemoArgs),
    /// Move a directory of source tables through a running server
    #[command(
        after_help = "Example: sluice migrate --server http://127.0.0.1:8080 --mapper berka ./berka\n\nExit codes: 0 \
                      everything is imported and all counts agree, 1 something failed, 2 records are invalid and \
                      nothing was imported, 130 interrupted."
    )]
    Migrate(migration::migrate::MigrateArgs),
    /// Try a mapper on a migration: map, validate and import into a temporary target
    #[command(
        after_help = "Example: sluice trial 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --sample 1000\n\nExit codes: 0 all \
                      records would be imported, 1 something failed, 2 some or all would not, 130 interrupted."
    )]
    Trial(migration::trial::TrialArgs),
    /// Compare the records that two mappers produce from a migration's source records
    #[command(
        after_help = "Example: sluice compare 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --from DIGEST --to DIGEST\n\n\
                      `sluice plugin compare` compares them on files, without a server.\n\nExit codes: 0 both produce \
                      the same, 1 something failed, 2 they differ, 130 interrupted."
    )]
    Compare(migration::compare::CompareArgs),
    /// Calculate the calls that a platform would receive, and export the plan as a page
    #[command(
        after_help = "Example: sluice plan 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --window-hours 8 --page plan.html\n\nExit \
                      codes: 0 all records can be planned, 1 something failed, 2 some records cannot be planned, 130 \
                      interrupted."
    )]
    Plan(migration::plan::PlanArgs),
    /// List the calls that were sent to a platform, and decide about the refused ones
    #[command(
        subcommand,
        after_help = "Example: sluice ledger list 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --state failed"
    )]
    Ledger(migration::ledger::LedgerCommand),
    /// Map a migration's source records again, without another upload
    #[command(
        after_help = "Example: sluice remap 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --only quarantined\n\nExit codes: 0 the \
                      records are mapped again, 1 something failed, 2 some of them were refused, 130 interrupted."
    )]
    Remap(migration::remap::RemapArgs),
    /// Import a validated migration, or show what an import would generate and remove
    #[command(
        after_help = "Example: sluice import 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --preview\n\nExit codes: 0 everything is \
                      imported, 1 something failed, 2 records were left out or cannot be removed, 130 interrupted."
    )]
    Import(migration::import::ImportArgs),
    /// Take back what the imports of a migration have stored; without --yes, list it
    #[command(
        after_help = "Example: sluice undo 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --yes\n\nExit codes: 0 everything is or can \
                      be taken back, 1 something failed, 2 other records refer to it, or calls stay, 130 interrupted."
    )]
    Undo(migration::undo::UndoArgs),
    /// Print source records as they were uploaded, so that they can be corrected and uploaded again
    #[command(
        after_help = "Examples: sluice records 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --source client --outcome quarantined \
                      --outcome rejected > bad.jsonl\n          sluice records \
                      3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --issue UNKNOWN_REFERENCE --out corrections"
    )]
    Records(migration::records::RecordsArgs),
    /// List the uploads of a migration, and withdraw a wrong one
    #[command(
        subcommand,
        after_help = "Example: sluice uploads withdraw 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 3\n\nExit codes: 0 the upload \
                      is withdrawn, 1 something failed."
    )]
    Uploads(migration::uploads::UploadsCommand),
    /// Run the server
    #[command(
        after_help = "Example: sluice serve --listen 127.0.0.1:8080 --data-dir ./sluice-data\n\nSLUICE_LOG sets what is \
                      logged, such as debug or sluice=debug."
    )]
    Serve(ServeArgs),
    /// Manage the clients of the API
    #[command(subcommand)]
    Client(access::client::ClientCommand),
    /// Manage the keys that sign tokens
    #[command(subcommand)]
    Keys(access::keys::KeysCommand),
    /// Let the records of one tenant refer to rows of another one
    #[command(
        subcommand,
        after_help = "Example: sluice reference-grant give south --owner north\n\nThe client needs the permission admin, \
                      and has to see every tenant.\n\nExit codes: 0 done, 1 something failed."
    )]
    ReferenceGrant(access::reference_grant::ReferenceGrantCommand),
    /// Back up a server's data directory without its keys, whether the server runs or not
    #[command(
        after_help = "Example: sluice backup /mnt/backups/2026-11-28 --data-dir ./sluice-data\n\nA backup holds no keys: \
                      back them up separately.\n\nExit codes: 0 the backup is complete, 1 something failed and there is \
                      no backup, 2 the backup holds migrations that were damaged before."
    )]
    Backup(backup::BackupArgs),
    /// Restore a data directory from a backup
    #[command(
        after_help = "Example: sluice restore /mnt/backups/2026-11-28 --data-dir ./sluice-data\n\nThe data directory may \
                      hold its keys and nothing else.\n\nExit codes: 0 everything is restored, 1 something failed and \
                      nothing is restored, 2 the backup holds migrations that were damaged before."
    )]
    Restore(backup::RestoreArgs),
    /// Create, test, inspect and publish plugins
    #[command(after_help = "Example: sluice plugin new my-mapper --lang python")]
    Plugin(plugin::PluginArgs),
    /// Verify audit trails, without a server
    #[command(after_help = "Example: sluice audit verify audit.jsonl --key audit.key")]
    Audit(audit::AuditArgs),
    /// Verify the evidence of a migration, without a server
    #[command(after_help = "Example: sluice evidence verify evidence.jsonl --key audit.key --target platform.db")]
    Evidence(evidence::EvidenceArgs),
    /// Explain a code of an answer, a result line, a ledger or a log: meaning, likely cause, remedy and example
    #[command(
        after_help = "Example: sluice explain WRONG_FIELD_COUNT\n\nExit codes: 0 the code is explained, or all codes are \
                      listed, 1 there is no such code."
    )]
    Explain(explain::ExplainArgs),
}

/// Runs a command and returns its exit code.
pub fn run(cli: Cli) -> Result<u8> {
    let code = dispatch(cli.command);
    telemetry::shut_down();
    code
}

fn dispatch(command: CliCommand) -> Result<u8> {
    match command {
        CliCommand::Demo(args) => block_on(demo::command::run(args)),
        CliCommand::Migrate(args) => block_on(migration::migrate::run(args)),
        CliCommand::Trial(args) => block_on(migration::trial::run(args)),
        CliCommand::Compare(args) => block_on(migration::compare::run(args)),
        CliCommand::Plan(args) => block_on(migration::plan::run(args)),
        CliCommand::Ledger(command) => block_on(migration::ledger::run(command)),
        CliCommand::Remap(args) => block_on(migration::remap::run(args)),
        CliCommand::Import(args) => block_on(migration::import::run(args)),
        CliCommand::Undo(args) => block_on(migration::undo::run(args)),
        CliCommand::Records(args) => block_on(migration::records::run(args)),
        CliCommand::Uploads(command) => block_on(migration::uploads::run(command)),
        CliCommand::Serve(args) => {
            telemetry::init("info", args.log_format == LogFormat::Json);
            runtime()?.block_on(server::serve::run(args))
        }
        CliCommand::Client(command) => access::client::run(command),
        CliCommand::Keys(command) => access::keys::run(command),
        CliCommand::ReferenceGrant(command) => block_on(access::reference_grant::run(command)),
        CliCommand::Backup(args) => backup::backup(args),
        CliCommand::Restore(args) => backup::restore(args),
        CliCommand::Plugin(args) => block_on(plugin::run(args)),
        CliCommand::Audit(args) => audit::run(args),
        CliCommand::Evidence(args) => evidence::run(args),
        CliCommand::Explain(args) => explain::run(&args),
    }
}

/// Runs an asynchronous verb. Only warnings and errors are logged.
fn block_on(verb: impl Future<Output = Result<u8>>) -> Result<u8> {
    telemetry::init("warn", false);
    crate::panics::watch();
    runtime()?.block_on(verb)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
