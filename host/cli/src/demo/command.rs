//! `sluice demo`: moves a synthetic bank through all five steps, with a server in the same process.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use sluice_client::UploadFormat;
use sluice_config::Config;
use sluice_data_dir::TARGET_FILE;
use sluice_demo::MAX_CUSTOMERS;
use sluice_demo::{Bank, ExpectedCounts, SpoilRate};
use sluice_model::DOMAINS;
use sluice_server::app::Options;

use crate::demo::expectation;
use crate::demo::mock_platform::MockPlatform;
use crate::format::counted;
use crate::migration::run::report::{MigrationEnding, MigrationReport};
use crate::migration::run::report_text;
use crate::migration::run::steps::{self, IgnoredFile, MigrationOptions, SourceTables, TableFile, TableLength};
use crate::output::{OutputArgs, print, warn};
use crate::progress::ProgressDisplay;
use crate::server::local_server::LocalServer;

/// Query that the report suggests for the result.
const SAMPLE_QUERY: &str = "SELECT status, count(*) FROM agreements GROUP BY status";

/// Arguments of `sluice demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Number of the bank's customers, each with about thirteen records [default: 2000, or 200 with --target]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_CUSTOMERS))]
    customers: Option<u64>,
    /// Move the bank into a mock of this platform through its API; the mock is a separate program
    #[arg(long, value_name = "NAME")]
    target: Option<DemoTarget>,
    /// Seed of the bank; the same seed generates the same bank
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Share of records to spoil, such as 0.01, or a share for each kind of error, such as bad-date=0.01,overpaid=0.002
    #[arg(long, value_name = "SHARE", value_parser = SpoilRate::parse)]
    spoil: Option<SpoilShares>,
    /// Directory for the result [default: a new directory in ./sluice-demo]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the whole data directory for `sluice serve --data-dir`, not only the platform database
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A platform that has a mock.
#[derive(Clone, Copy, clap::ValueEnum)]
enum DemoTarget {
    /// Mambu
    Mambu,
}

/// Shares of records to spoil. Clap would parse a field of type `Vec` as an option that is given many times. The alias
/// prevents that.
type SpoilShares = Vec<SpoilRate>;

/// Tables of the bank. They are generated while they are uploaded.
struct BankTables {
    bank: Bank,
    expected: ExpectedCounts,
}

impl SourceTables for BankTables {
    fn open(&self, source: &str) -> Result<Option<TableFile>> {
        let records = self.expected.tables.iter().find(|table| table.table == source).map_or(0, |table| table.records);
        let lines = self.bank.records(source).filter(|_| records > 0);
        Ok(lines.map(|lines| TableFile {
            format: UploadFormat::json_lines(),
            chunks: Box::new(lines.map(Ok)),
            length: TableLength::Records(records),
        }))
    }

    fn other_files(&self, _: &[String]) -> Result<Vec<IgnoredFile>> {
        Ok(vec![])
    }
}

/// Runs the demo, prints its report, and returns the exit code.
pub async fn run(args: DemoArgs) -> Result<u8> {
    let progress = args.output.progress();
    let (data_dir, is_temporary) = match args.data_dir {
        Some(dir) => (dir, false),
        None => (create_result_directory()?, true),
    };
    let customers = args.customers.unwrap_or(if args.target.is_some() { 200 } else { 2_000 });
    let bank = Bank { customers, seed: args.seed, spoil: args.spoil.unwrap_or_default() };
    let tables = generate(progress, bank).await?;
    progress.line(&format!(
        "A bank of {}: {}, in {}",
        counted(customers, "customer"),
        counted(tables.expected.records(), "source record"),
        data_dir.display()
    ));
    let platform = match args.target {
        Some(DemoTarget::Mambu) => Some(MockPlatform::start(progress, &tables.bank).await?),
        None => None,
    };
    let mut report = migrate(progress, &tables, &data_dir, platform.as_ref()).await?;
    if let Some(platform) = &platform {
        progress.line(&platform.call_summary().await?);
    }
    let differences = match report.ending {
        MigrationEnding::Agreed if platform.is_none() => expectation::differences(&tables.expected, &report),
        _ => vec![],
    };
    if !differences.is_empty() {
        report.ending = MigrationEnding::Failed;
        report.error = Some(format!("the result differs from the expectation: {}", differences.join("; ")));
    }
    let is_kept = !is_temporary || args.keep;
    if !is_kept && let Err(error) = remove_all_but_database(&data_dir) {
        // The result is complete anyway.
        progress.line(&format!("Could not clean up {}: {error}", data_dir.display()));
    }
    let out = if args.output.json {
        as_json(&tables, &report, &data_dir)?
    } else {
        as_text(&tables.expected, &report, &data_dir, is_kept)
    };
    print(&out)?;
    if let Some(error) = &report.error {
        warn(&format!("error: {error}\n"));
    }
    Ok(report.ending.exit_code())
}

async fn generate(progress: ProgressDisplay, bank: Bank) -> Result<BankTables> {
    let bar = progress.bar("Generating a bank", None);
    let tables = tokio::task::spawn_blocking(move || BankTables { expected: bank.expected(), bank }).await?;
    bar.finish_and_clear();
    Ok(tables)
}

/// Starts a server, runs the migration on it, and stops it.
async fn migrate(
    progress: ProgressDisplay,
    tables: &BankTables,
    data_dir: &Path,
    platform: Option<&MockPlatform>,
) -> Result<MigrationReport> {
    let mut config = Config::default();
    config.platforms.extend(platform.map(MockPlatform::configuration));
    let options = Options { data_dir: data_dir.to_owned(), config, ..Options::default() };
    let mut server = LocalServer::start(progress, options).await?;
    progress.line(&format!("Started a server at {}", server.address));
    let options = MigrationOptions {
        client: server.client.clone(),
        progress,
        mapper: Some("berka".into()),
        components: DOMAINS.iter().map(|domain| domain.component.to_owned()).collect(),
        target: platform.map(|platform| platform.name.to_owned()),
        migration: None,
        keep_going: true,
        delete_invalid: true,
        remove: false,
    };
    let mut report = MigrationReport { server: server.address.clone(), ..MigrationReport::default() };
    server.run_with(steps::run(&options, tables, &mut report)).await?;
    server.stop().await?;
    Ok(report)
}

/// Creates a new directory in the working directory, or in the temporary directory if the former is not writable.
fn create_result_directory() -> Result<PathBuf> {
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let create_in = |parent: &Path| -> io::Result<PathBuf> {
        std::fs::create_dir_all(parent)?;
        let name = |number: u32| if number == 1 { now.clone() } else { format!("{now}-{number}") };
        for number in 1.. {
            let dir = parent.join(name(number));
            match std::fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(|()| dir),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    };
    create_in(Path::new("./sluice-demo"))
        .or_else(|_| create_in(&std::env::temp_dir().join("sluice-demo")))
        .context("cannot create a directory for the result: name one with --data-dir")
}

/// Removes everything from the data directory but the platform database.
fn remove_all_but_database(data_dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TARGET_FILE) {
            continue;
        }
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(entry.path()),
            _ => std::fs::remove_file(entry.path()),
        };
        // SQLite removes files of its own while it closes the catalogue.
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

fn as_json(tables: &BankTables, report: &MigrationReport, data_dir: &Path) -> Result<String> {
    let mut document = serde_json::to_value(report)?;
    document["customers"] = tables.bank.customers.into();
    document["seed"] = tables.bank.seed.into();
    document["expected"] = expectation::as_json(&tables.expected);
    document["database"] = json!(data_dir.join(TARGET_FILE));
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn as_text(expected: &ExpectedCounts, report: &MigrationReport, data_dir: &Path, is_kept: bool) -> String {
    if report.ending == MigrationEnding::Interrupted {
        return "\nInterrupted. To start again: sluice demo\n".into();
    }
    let mut out = String::from("\n");
    out += &expectation::spoiled_records(expected, report);
    if !report.counts.is_empty() {
        // The counts of a platform have no totals of entity types.
        let is_platform = report.totals().is_empty();
        let totals = if is_platform { report_text::totals(report) } else { expectation::totals(expected, report) };
        out += &format!("{totals}\n");
    }
    out += &format!("{}\n", report_text::times(report));
    out += &report_text::deleted(report);
    if report.ending == MigrationEnding::Agreed {
        out += "All counts and sums are as expected.\n";
    }
    // A mock platform has ended by now, and its records with it.
    if !report.totals().is_empty() {
        let database = data_dir.join(TARGET_FILE);
        out += &format!("\nThe result: {}\n  sqlite3 {0} \"{SAMPLE_QUERY}\"\n", database.display());
    }
    if is_kept {
        let id = report.reference_id.map(|id| id.to_string()).unwrap_or_default();
        out += &format!("To open the migration {id} on a server:\n  sluice serve --data-dir {}\n", data_dir.display());
    }
    out
}
