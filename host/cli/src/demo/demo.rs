//! `sluice demo`: a synthetic bank through all five steps, against a server in the same process.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use sluice_config::Config;
use sluice_data_dir::TARGET_FILE;
use sluice_demo::bank::MAX_CUSTOMERS;
use sluice_demo::{Bank, Expected, Spoil};
use sluice_model::DOMAINS;
use sluice_server::app::Options;

use crate::demo::expectation as outcome;
use crate::demo::mock_platform::Played;
use crate::migration::report::{Ending, Report};
use crate::migration::report_text as text;
use crate::migration::steps;
use crate::migration::steps::{Length, Plan, Table, Tables};
use crate::server::local_server::Local;
use crate::view::{View, counted, print};
use sluice_client::Form;

/// Something to try on the result.
const SAMPLE_QUERY: &str = "SELECT status, count(*) FROM agreements GROUP BY status";

/// What `sluice demo` is told.
#[derive(Args)]
pub struct Demo {
    /// Customers of the bank, each with about thirteen records [default: 2000, or 200 with --target]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_CUSTOMERS))]
    customers: Option<u64>,
    /// Move it into a platform that is entered through its API, played by a program beside this one
    #[arg(long, value_name = "NAME")]
    target: Option<Target>,
    /// The same seed makes the same bank
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Share of records to spoil, such as 0.01, or by way, such as bad-date=0.01,overpaid=0.002
    #[arg(long, value_name = "SHARE", value_parser = Spoil::parse)]
    spoil: Option<Wishes>,
    /// Where to keep the result [default: a new directory in ./sluice-demo]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep what was staged too, for `sluice serve --data-dir`, and not the platform's database alone
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// A platform that can be played.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    /// Mambu
    Mambu,
}

/// How records are to be spoiled. The name keeps clap from taking it for an option given many times.
type Wishes = Vec<Spoil>;

/// The bank's tables, made while they are uploaded.
struct Generated {
    bank: Bank,
    expected: Expected,
}

impl Tables for Generated {
    fn open(&self, source: &str) -> Result<Option<Table>> {
        let records = self.expected.tables.iter().find(|table| table.table == source).map_or(0, |table| table.records);
        let lines = self.bank.records(source).filter(|_| records > 0);
        Ok(lines.map(|lines| Table {
            form: Form::lines(),
            chunks: Box::new(lines.map(Ok)),
            length: Length::Records(records),
        }))
    }

    fn others(&self, _: &[String]) -> Result<Vec<String>> {
        Ok(vec![])
    }
}

/// Runs it; the exit code.
pub async fn run(args: Demo) -> Result<u8> {
    let view = View::new(args.output.quiet || args.output.json);
    let (data_dir, ours) = match args.data_dir {
        Some(dir) => (dir, false),
        None => (fresh_directory()?, true),
    };
    let customers = args.customers.unwrap_or(if args.target.is_some() { 200 } else { 2_000 });
    let bank = Bank { customers, seed: args.seed, spoil: args.spoil.unwrap_or_default() };
    let tables = make(view, bank).await?;
    view.line(&format!(
        "A bank of {}: {}, kept in {}",
        counted(customers, "customer"),
        counted(tables.expected.records(), "source record"),
        data_dir.display()
    ));
    let played = match args.target {
        Some(Target::Mambu) => Some(Played::start(view, &tables.bank).await?),
        None => None,
    };
    let mut report = drive(view, &tables, &data_dir, played.as_ref()).await?;
    if let Some(played) = &played {
        view.line(&played.told().await?);
    }
    let differences = match report.ending {
        Ending::Agreed if played.is_none() => outcome::differences(&tables.expected, &report),
        _ => vec![],
    };
    if !differences.is_empty() {
        report.ending = Ending::Failed;
        report.error = Some(format!("not all is as expected: {}", differences.join("; ")));
    }
    let kept = !ours || args.keep;
    if !kept && let Err(error) = only_the_database(&data_dir) {
        // The result is there all the same.
        view.line(&format!("Could not tidy up {}: {error}", data_dir.display()));
    }
    let out = if args.output.json {
        as_json(&tables, &report, &data_dir)?
    } else {
        as_text(&tables.expected, &report, &data_dir, kept)
    };
    print(&out)?;
    if let Some(error) = &report.error {
        eprintln!("error: {error}");
    }
    Ok(report.ending.exit_code())
}

async fn make(view: View, bank: Bank) -> Result<Generated> {
    let bar = view.bar("Making a bank", None);
    let generated = tokio::task::spawn_blocking(move || Generated { expected: bank.expected(), bank }).await?;
    bar.finish_and_clear();
    Ok(generated)
}

/// Starts a server, drives the migration through it, and stops it.
async fn drive(view: View, tables: &Generated, data_dir: &Path, played: Option<&Played>) -> Result<Report> {
    let mut config = Config::default();
    config.platforms.extend(played.map(Played::configuration));
    let options = Options { data_dir: data_dir.to_owned(), config, mappers: vec![] };
    let mut local = Local::start(view, options).await?;
    view.line(&format!("Started a server at {}", local.address));
    let plan = Plan {
        client: local.client.clone(),
        view,
        mapper: Some("berka".into()),
        components: DOMAINS.iter().map(|domain| domain.component.to_owned()).collect(),
        target: played.map(|played| played.name.to_owned()),
        migration: None,
        keep_going: true,
        delete_invalid: true,
    };
    let mut report = Report { server: local.address.clone(), ..Report::default() };
    local.during(steps::run(&plan, tables, &mut report)).await?;
    local.end().await?;
    Ok(report)
}

/// A directory that nobody has used: here, or among temporary ones where nothing can be written here.
fn fresh_directory() -> Result<PathBuf> {
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let below = |parent: &Path| -> io::Result<PathBuf> {
        std::fs::create_dir_all(parent)?;
        let name = |number: u32| if number == 1 { now.clone() } else { format!("{now}-{number}") };
        for number in 1.. {
            let dir = parent.join(name(number));
            match std::fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| dir),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    };
    below(Path::new("./sluice-demo"))
        .or_else(|_| below(&std::env::temp_dir().join("sluice-demo")))
        .context("cannot make a directory for the result: name one with --data-dir")
}

/// Removes what the server kept for itself.
fn only_the_database(data_dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TARGET_FILE) {
            continue;
        }
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(entry.path()),
            _ => std::fs::remove_file(entry.path()),
        };
        // A catalogue that is being closed removes files of its own.
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

fn as_json(tables: &Generated, report: &Report, data_dir: &Path) -> Result<String> {
    let mut document = serde_json::to_value(report)?;
    document["customers"] = tables.bank.customers.into();
    document["seed"] = tables.bank.seed.into();
    document["expected"] = outcome::as_json(&tables.expected);
    document["database"] = json!(data_dir.join(TARGET_FILE));
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn as_text(expected: &Expected, report: &Report, data_dir: &Path, kept: bool) -> String {
    if report.ending == Ending::Interrupted {
        return "\nInterrupted. To begin again: sluice demo\n".into();
    }
    let mut out = String::from("\n");
    out += &outcome::spoiled(expected, report);
    if !report.counts.is_empty() {
        let asked = report.totals().is_empty();
        let totals = if asked { text::totals(report) } else { outcome::totals(expected, report) };
        out += &format!("{totals}\n");
    }
    out += &format!("{}\n", text::times(report));
    out += &text::deleted(report);
    if report.ending == Ending::Agreed {
        out += "All counts and sums are as expected.\n";
    }
    // A platform that was played is gone by now.
    if !report.totals().is_empty() {
        let database = data_dir.join(TARGET_FILE);
        out += &format!("\nThe result: {}\n  sqlite3 {0} \"{SAMPLE_QUERY}\"\n", database.display());
    }
    if kept {
        let id = report.reference_id.map(|id| id.to_string()).unwrap_or_default();
        out +=
            &format!("The migration, {id}, can be looked at with:\n  sluice serve --data-dir {}\n", data_dir.display());
    }
    out
}
