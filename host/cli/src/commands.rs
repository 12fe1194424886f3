//! The command line: its verbs, one file each, and what they share.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Moves a lender's data into a new lending platform, through sandboxed plugins.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = "Begin with: sluice demo")]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a synthetic bank, and move it through all five steps on this machine
    #[command(after_help = "Example: sluice demo --customers 20000 --spoil 0.01\n\nExit codes: 0 all counts are as \
                      expected, 1 they are not or something failed, 130 interrupted.")]
    Demo(crate::demo::demo::Demo),
    /// Move a directory of source tables through a running server
    #[command(
        after_help = "Example: sluice migrate --server http://127.0.0.1:8080 --mapper berka ./berka\n\nExit codes: 0 \
                      all is imported and all counts agree, 1 something failed, 2 records are wrong and nothing was \
                      imported, 130 interrupted."
    )]
    Migrate(crate::migration::migrate::Migrate),
    /// Try a mapper on a migration, the whole way into a target that is thrown away
    #[command(
        after_help = "Example: sluice trial 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --sample 1000\n\nExit codes: 0 all would \
                      arrive, 1 something failed, 2 records are wrong, 130 interrupted."
    )]
    Trial(crate::migration::trial::Trial),
    /// Compare what two mappers make of a migration's source records
    #[command(
        after_help = "Example: sluice compare 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --from DIGEST --to DIGEST\n\n\
                      `sluice plugin compare` does it with files and without a server.\n\nExit codes: 0 they make the \
                      same, 1 something failed, 2 they differ, 130 interrupted."
    )]
    Compare(crate::migration::trial::Compare),
    /// Work out the calls that a platform would get, and hand it over as a page
    #[command(
        after_help = "Example: sluice plan 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --window-hours 8 --page plan.html\n\nExit \
                      codes: 0 everything can be planned, 1 something failed, 2 some records cannot, 130 interrupted."
    )]
    Plan(crate::migration::connector::Plan),
    /// Look at what was sent to a platform, and decide on what it refused
    #[command(
        subcommand,
        after_help = "Example: sluice ledger list 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --state failed"
    )]
    Ledger(crate::migration::connector::LedgerVerb),
    /// Map a migration's source records again, without uploading them again
    #[command(
        after_help = "Example: sluice remap 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --only quarantined\n\nExit codes: 0 it \
                      is done, 1 something failed, 130 interrupted."
    )]
    Remap(crate::migration::trial::Remap),
    /// Print source records as they were uploaded, to be corrected and uploaded again
    #[command(after_help = "Example: sluice records 3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10 --source client --outcome \
                      quarantined --outcome rejected > bad.jsonl")]
    Records(crate::migration::trial::Records),
    /// Run the server
    #[command(
        after_help = "Example: sluice serve --listen 127.0.0.1:8080 --data-dir ./sluice-data\n\nSLUICE_LOG says what \
                      is logged, such as debug or sluice=debug."
    )]
    Serve(crate::server::serve::Serve),
    /// Say who the API lets in
    #[command(subcommand)]
    Client(crate::access::ClientVerb),
    /// Look after the keys that tokens are signed with
    #[command(subcommand)]
    Keys(crate::access::KeysVerb),
    /// Copy everything of a server but its keys to a folder, whether it runs or not
    #[command(
        after_help = "Example: sluice backup /mnt/backups/2026-11-28 --data-dir ./sluice-data\n\nKeys are not in a \
                      backup: back them up apart from it.\n\nExit codes: 0 all of it is whole, 1 something failed and \
                      there is no backup, 2 it holds migrations that were damaged before."
    )]
    Backup(crate::backup::Backup),
    /// Make a data directory out of a backup
    #[command(
        after_help = "Example: sluice restore /mnt/backups/2026-11-28 --data-dir ./sluice-data\n\nThe data directory \
                      has to be empty, but for its keys.\n\nExit codes: 0 all of it is restored and whole, 1 something \
                      failed and nothing is restored, 2 it holds migrations that were damaged before they were backed up."
    )]
    Restore(crate::backup::Restore),
    /// Make plugins, test them, and look into them
    #[command(after_help = "Example: sluice plugin new my-mapper --lang python")]
    Plugin(crate::plugin::Plugin),
    /// Verify audit trails, without a server
    #[command(after_help = "Example: sluice audit verify audit.jsonl --key audit.key")]
    Audit(crate::audit::Audit),
    /// Verify the evidence of a migration, without a server
    #[command(after_help = "Example: sluice evidence verify evidence.jsonl --key audit.key --target platform.db")]
    Evidence(crate::evidence::Evidence),
}

/// How a verb shows what it does.
#[derive(Args)]
pub struct Output {
    /// One JSON document on standard output, and no progress
    #[arg(long)]
    pub json: bool,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// Does what was asked for; the exit code.
pub fn run(cli: Cli) -> Result<u8> {
    let done = act(cli);
    crate::server::telemetry::end();
    done
}

fn act(cli: Cli) -> Result<u8> {
    match cli.verb {
        Verb::Demo(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::demo::demo::run(args))
        }
        Verb::Migrate(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::migrate::run(args))
        }
        Verb::Trial(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::trial::trial(args))
        }
        Verb::Compare(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::trial::compare(args))
        }
        Verb::Plan(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::connector::plan(args))
        }
        Verb::Ledger(verb) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::connector::ledger(verb))
        }
        Verb::Remap(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::trial::remap(args))
        }
        Verb::Records(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::migration::trial::records(args))
        }
        Verb::Serve(args) => {
            crate::server::telemetry::begin("info", args.log_format == crate::server::serve::LogFormat::Json);
            runtime()?.block_on(crate::server::serve::run(args))
        }
        Verb::Client(verb) => crate::access::client(verb),
        Verb::Keys(verb) => crate::access::keys(verb),
        Verb::Backup(args) => crate::backup::backup(args),
        Verb::Restore(args) => crate::backup::restore(args),
        Verb::Plugin(args) => {
            crate::server::telemetry::begin("warn", false);
            runtime()?.block_on(crate::plugin::run(args))
        }
        Verb::Audit(args) => crate::audit::run(args),
        Verb::Evidence(args) => crate::evidence::run(args),
    }
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
