//! `sluice migrate`: moves a directory of source tables through a running server.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sluice_model::DOMAINS;
use uuid::Uuid;

use crate::format::counted;
use crate::migration::run::report::{MigrationEnding, MigrationReport};
use crate::migration::run::report_text;
use crate::migration::run::steps::{self, MigrationOptions};
use crate::migration::source_directory::SourceDirectory;
use crate::migration::source_files::CsvArgs;
use crate::output::{OutputArgs, print, warn};
use crate::server::login::LoginArgs;

/// Arguments of `sluice migrate`.
#[derive(Args)]
pub struct MigrateArgs {
    /// Directory with a file for each source table: <source>.jsonl or <source>.csv, plain or compressed (.gz, .zst). Letter
    /// case does not matter. It is optional with --migration
    #[arg(required_unless_present = "migration")]
    dir: Option<PathBuf>,
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SLUICE_SERVER")]
    server: String,
    /// Name of the mapper, such as berka, or its digest. It is optional with --migration
    #[arg(long, value_name = "NAME", required_unless_present = "migration")]
    mapper: Option<String>,
    /// Components that the migration covers [default: all five]
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "migration")]
    components: Vec<String>,
    /// Platform to import into, by its name in the server's configuration [default: the embedded target]
    #[arg(long, value_name = "NAME", conflicts_with = "migration")]
    target: Option<String>,
    /// Continue this migration; records that are uploaded again unchanged stay as they are
    #[arg(long, value_name = "ID")]
    migration: Option<Uuid>,
    /// Import the other records even if source records were refused at the upload
    #[arg(long)]
    keep_going: bool,
    /// Delete staged records with validation errors, and import the others
    #[arg(long)]
    delete_invalid: bool,
    /// Remove records from the target that were deleted from staging after they were imported
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    csv: CsvArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the migration, prints its report, and returns the exit code.
pub async fn run(args: MigrateArgs) -> Result<u8> {
    let all = || DOMAINS.iter().map(|domain| domain.component.to_owned()).collect();
    let options = MigrationOptions {
        client: args.login.client(&args.server)?,
        progress: args.output.progress(),
        mapper: args.mapper,
        components: if args.components.is_empty() { all() } else { args.components },
        target: args.target,
        migration: args.migration,
        keep_going: args.keep_going,
        delete_invalid: args.delete_invalid,
        remove: args.remove,
    };
    let mut report = MigrationReport { server: options.client.url(""), ..MigrationReport::default() };
    let continue_command = format!("sluice migrate --server {} --migration", report.server);
    let dir = args.dir.as_ref().map(|dir| format!(" {}", dir.display())).unwrap_or_default();
    let flags = [
        (options.keep_going, " --keep-going"),
        (options.delete_invalid, " --delete-invalid"),
        (options.remove, " --remove"),
    ];
    let flags: String = flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag).collect();
    steps::run(&options, &SourceDirectory { dir: args.dir, csv: args.csv }, &mut report).await;
    if args.output.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        print(&text(&report, &continue_command, &flags, &dir))?;
    }
    if let Some(error) = &report.error {
        warn(&format!("error: {error}\n"));
    }
    Ok(report.ending.exit_code())
}

/// Returns the report as text, with the command that continues the migration.
fn text(report: &MigrationReport, continue_command: &str, flags: &str, dir: &str) -> String {
    let id = report.reference_id.map(|id| id.to_string()).unwrap_or_default();
    let command = format!("{continue_command} {id}");
    match report.ending {
        MigrationEnding::Agreed => agreed(report),
        MigrationEnding::Invalid => invalid(report, &command, dir),
        MigrationEnding::Interrupted if id.is_empty() => "\nInterrupted. No migration was registered.\n".into(),
        MigrationEnding::Interrupted => {
            format!("\nInterrupted. The staged records are kept. To continue:\n  {command}{flags}{dir}\n")
        }
        MigrationEnding::Failed => {
            let mut out = String::new();
            if !report.counts.is_empty() {
                out += &format!("\n{}", report_text::totals(report));
            }
            if !id.is_empty() {
                out += &format!("\nThe staged records are kept. To try again:\n  {command}{flags}{dir}\n");
            }
            out
        }
    }
}

fn agreed(report: &MigrationReport) -> String {
    let mut out = format!("\n{}\n{}\n", report_text::totals(report), report_text::times(report));
    if report.refused() > 0 {
        out += &format!(
            "{} refused at the upload and not imported:\n{}",
            counted(report.refused(), "source record"),
            report_text::refused(report)
        );
    }
    out += &report_text::deleted(report);
    out += &report_text::lines(report);
    out + &format!("All counts agree. The migration: {}\n", report_text::address(report))
}

fn invalid(report: &MigrationReport, command: &str, dir: &str) -> String {
    let mut out = String::from("\nThis run has imported nothing.\n");
    let address = report_text::address(report);
    if report.refused() > 0 {
        let refused = counted(report.refused(), "source record");
        out += &format!("\n{refused} refused at the upload:\n{}", report_text::refused(report));
        out += &format!("All of them: {address}/issues?phase=load\n");
    }
    let errors: u64 = report.issues.iter().map(|group| group.count).sum();
    if errors > 0 {
        out += &format!("\nValidation found {}:\n{}", counted(errors, "error"), report_text::issues(report));
        out += &format!("All of them: {address}/issues\n");
    }
    // The other staged records need no new upload.
    let flag = if errors > 0 { " --delete-invalid" } else { "" };
    let dir = if dir.is_empty() { " DIR" } else { dir };
    out + &format!(
        "\nCorrect the records and upload them again:\n  {command}{dir}\nOr skip these records, and import the other \
         staged records:\n  {command}{flag}\n"
    )
}
