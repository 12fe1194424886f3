//! `sluice migrate`: moves a directory of source tables through a running server.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use sluice_model::DOMAINS;
use uuid::Uuid;

use crate::migration::report::{Ending, Report};
use crate::migration::report_text as text;
use crate::migration::source_files as files;
use crate::migration::source_files::{Csv, form_of};
use crate::migration::steps;
use crate::migration::steps::{Length, Plan, Table, Tables};
use crate::server::login::Login;
use crate::view::{View, counted, print};

/// What `sluice migrate` is told.
#[derive(Args)]
pub struct Migrate {
    /// Directory with a file for each source table, <source>.jsonl or <source>.csv, compressed (.gz, .zst) or not; a
    /// migration can go on without
    #[arg(required_unless_present = "migration")]
    dir: Option<PathBuf>,
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SLUICE_SERVER")]
    server: String,
    /// Mapper to use, by its name, such as berka, or by its digest; a migration to go on with has one
    #[arg(long, value_name = "NAME", required_unless_present = "migration")]
    mapper: Option<String>,
    /// Components that the migration covers [default: all five]
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "migration")]
    components: Vec<String>,
    /// Platform to move to, by its name in the server's configuration [default: the embedded one]
    #[arg(long, value_name = "NAME", conflicts_with = "migration")]
    target: Option<String>,
    /// Go on with this migration: what is uploaded again unchanged stays as it is
    #[arg(long, value_name = "ID")]
    migration: Option<Uuid>,
    /// Import the rest even if source records were rejected at the upload
    #[arg(long)]
    keep_going: bool,
    /// Delete the staged records that validation finds an error in, and import the rest
    #[arg(long)]
    delete_invalid: bool,
    #[command(flatten)]
    csv: Csv,
    #[command(flatten)]
    login: Login,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// Files in a directory, if one was named.
struct Files(Option<PathBuf>, Csv);

impl Tables for Files {
    fn open(&self, source: &str) -> Result<Option<Table>> {
        let Some(dir) = &self.0 else { return Ok(None) };
        let Some(path) = files::find(dir, source)? else { return Ok(None) };
        let form = form_of(&path, &self.1);
        let file = files::chunks(&path)?;
        Ok(file.map(|(chunks, bytes)| Table { form, chunks, length: Length::Bytes(bytes) }))
    }

    fn others(&self, sources: &[String]) -> Result<Vec<String>> {
        let Some(dir) = &self.0 else { return Ok(vec![]) };
        let cannot = || format!("cannot read the directory {}", dir.display());
        let mut others = vec![];
        for entry in std::fs::read_dir(dir).with_context(cannot)? {
            let name = entry.with_context(cannot)?.file_name().to_string_lossy().into_owned();
            if files::source_of(&name).is_some_and(|source| !sources.iter().any(|known| known == source)) {
                others.push(name);
            }
        }
        others.sort();
        Ok(others)
    }
}

/// Runs it; the exit code.
pub async fn run(args: Migrate) -> Result<u8> {
    let all = || DOMAINS.iter().map(|domain| domain.component.to_owned()).collect();
    let plan = Plan {
        client: args.login.client(&args.server)?,
        view: View::new(args.output.quiet || args.output.json),
        mapper: args.mapper,
        components: if args.components.is_empty() { all() } else { args.components },
        target: args.target,
        migration: args.migration,
        keep_going: args.keep_going,
        delete_invalid: args.delete_invalid,
    };
    let mut report = Report { server: plan.client.url(""), ..Report::default() };
    let again = format!("sluice migrate --server {} --migration", report.server);
    let dir = args.dir.as_ref().map(|dir| format!(" {}", dir.display())).unwrap_or_default();
    let flags = match (plan.keep_going, plan.delete_invalid) {
        (false, false) => "",
        (true, false) => " --keep-going",
        (false, true) => " --delete-invalid",
        (true, true) => " --keep-going --delete-invalid",
    };
    steps::run(&plan, &Files(args.dir, args.csv), &mut report).await;
    if args.output.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        print(&ended(&report, &again, flags, &dir))?;
    }
    if let Some(error) = &report.error {
        eprintln!("error: {error}");
    }
    Ok(report.ending.exit_code())
}

/// The end, for a person.
fn ended(report: &Report, again: &str, flags: &str, dir: &str) -> String {
    let id = report.reference_id.map(|id| id.to_string()).unwrap_or_default();
    let go_on = format!("{again} {id}");
    match report.ending {
        Ending::Agreed => agreed(report),
        Ending::Invalid => invalid(report, &go_on, dir),
        Ending::Interrupted if id.is_empty() => "\nInterrupted; nothing has been registered.\n".into(),
        Ending::Interrupted => format!("\nInterrupted. What is staged stays. To go on:\n  {go_on}{flags}{dir}\n"),
        Ending::Failed => {
            let mut out = String::new();
            if !report.counts.is_empty() {
                out += &format!("\n{}", text::totals(report));
            }
            if !id.is_empty() {
                out += &format!("\nWhat is staged stays. To try again:\n  {go_on}{flags}{dir}\n");
            }
            out
        }
    }
}

fn agreed(report: &Report) -> String {
    let mut out = format!("\n{}\n{}\n", text::totals(report), text::times(report));
    if report.refused() > 0 {
        out += &format!(
            "{} refused at the upload and not imported:\n{}",
            counted(report.refused(), "source record"),
            text::refused(report)
        );
    }
    out += &text::deleted(report);
    out + &format!("All counts agree. The migration: {}\n", text::address(report))
}

fn invalid(report: &Report, go_on: &str, dir: &str) -> String {
    let mut out = String::from("\nThis run has imported nothing.\n");
    let address = text::address(report);
    if report.refused() > 0 {
        let refused = counted(report.refused(), "source record");
        out += &format!("\n{refused} refused at the upload:\n{}", text::refused(report));
        out += &format!("All of them: {address}/issues?phase=load\n");
    }
    let errors: u64 = report.issues.iter().map(|group| group.count).sum();
    if errors > 0 {
        out += &format!("\nValidation found {}:\n{}", counted(errors, "error"), text::issues(report));
        out += &format!("All of them: {address}/issues\n");
    }
    // What is staged can go on as it is, without being uploaded again.
    let flag = if errors > 0 { " --delete-invalid" } else { "" };
    let dir = if dir.is_empty() { " DIR" } else { dir };
    out + &format!(
        "\nCorrect the records and upload them again:\n  {go_on}{dir}\nOr leave these records out, and import the \
         rest of what is staged:\n  {go_on}{flag}\n"
    )
}
