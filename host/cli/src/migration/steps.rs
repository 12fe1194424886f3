//! The five steps of a migration, driven over HTTP: register, upload, validate, import, count.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_client::Method;
use sluice_model::JobState;
use uuid::Uuid;

use crate::migration::invalid_records as invalid;
use crate::migration::report::{Count, Ending, Report, SourceReport, Validation};
use crate::migration::report_text as text;
use crate::view::{View, counted, grouped};
use sluice_client::Form;
use sluice_client::{self as upload, Chunks, Tally};
use sluice_client::{Client, Problem};

/// Seconds that the server may take to answer on a running job: how often a bar moves.
const JOB_PATIENCE: u64 = 1;

/// Least time between two questions about a job, for a server that answers at once.
const JOB_PAUSE: Duration = Duration::from_millis(50);

/// Validations after deletions, at most. Records refer to each other over a few steps, so a few rounds
/// reach the end of any chain; more are needed only where there are more errors than the server lists.
const MAX_ROUNDS: usize = 100;

/// The path under which migrations stand.
pub const MIGRATIONS: &str = "/migration-assistance/migrations";

/// What is to be done.
pub struct Plan {
    pub client: Client,
    pub view: View,
    /// None where the migration has one already.
    pub mapper: Option<String>,
    pub components: Vec<String>,
    /// The platform it goes to; none: the embedded one.
    pub target: Option<String>,
    /// A migration to go on with.
    pub migration: Option<Uuid>,
    /// Import the rest where source records were rejected.
    pub keep_going: bool,
    /// Delete what validation names, and go on with the rest.
    pub delete_invalid: bool,
}

/// The records of a source.
pub struct Table {
    pub form: Form,
    pub chunks: Chunks,
    pub length: Length,
}

/// How much there is of a source.
#[derive(Clone, Copy)]
pub enum Length {
    Bytes(u64),
    Records(u64),
}

/// Where a customer's source tables are.
pub trait Tables: Sync {
    /// The records of a source; none if there are not any.
    fn open(&self, source: &str) -> Result<Option<Table>>;

    /// What lies with them that is none of these sources.
    fn others(&self, sources: &[String]) -> Result<Vec<String>>;
}

#[derive(Deserialize)]
struct Migration {
    #[serde(rename = "referenceId")]
    reference_id: Uuid,
    /// Digest of its mapper.
    #[serde(rename = "mapperDigest")]
    mapper: Option<String>,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Mapper {
    name: String,
    digest: String,
    sources: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
}

/// A job, as far as it is shown.
#[derive(Deserialize)]
pub struct Job {
    pub state: JobState,
    done: u64,
    total: u64,
    pub result: Option<Value>,
}

/// What an import did, as far as it is shown.
#[derive(Deserialize)]
struct Stored {
    inserted: u64,
    updated: u64,
    unchanged: u64,
}

impl Stored {
    fn records(&self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }

    fn words(&self) -> String {
        let Self { inserted, updated, unchanged } = self;
        format!("{} new, {} changed, {} as they were", grouped(inserted), grouped(updated), grouped(unchanged))
    }
}

/// Goes through the steps, or stops at Ctrl-C and cancels what is running. The report says how it ended.
pub async fn run(plan: &Plan, tables: &dyn Tables, report: &mut Report) {
    let ended = tokio::select! {
        ended = steps(plan, tables, report) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    match ended {
        Some(Ok(ending)) => report.ending = ending,
        Some(Err(error)) => {
            report.ending = Ending::Failed;
            report.error = Some(format!("{error:#}"));
        }
        None => {
            report.ending = Ending::Interrupted;
            plan.view.line("Interrupted: stopping what is running. Once more, and it is left as it is.");
            tokio::spawn(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(Ending::Interrupted.exit_code().into());
                }
            });
            if let (Some(migration), Some(job)) = (report.reference_id, report.running) {
                // A job that has just ended cannot be cancelled, and need not be.
                let _ = plan.client.act(Method::PUT, &format!("{MIGRATIONS}/{migration}/jobs/{job}/cancel")).await;
            }
        }
    }
}

async fn steps(plan: &Plan, tables: &dyn Tables, report: &mut Report) -> Result<Ending> {
    let sources = register(plan, tables, report).await?;
    upload_all(plan, sources, report).await?;
    let mut valid = validate(plan, report).await?;
    if report.refused() > 0 && !plan.keep_going {
        return Ok(Ending::Invalid);
    }
    let mut rounds = 0;
    while !valid && plan.delete_invalid && rounds < MAX_ROUNDS {
        rounds += 1;
        if invalid::delete(plan, report).await? == 0 {
            bail!("validation names no record that could be deleted");
        }
        valid = validate(plan, report).await?;
    }
    if !valid {
        return Ok(Ending::Invalid);
    }
    if plan.target.is_some() {
        let (_, planned) = job(plan, report, "plan").await?;
        plan.view.line(&format!("  {}", crate::migration::connector::sentence(&planned)));
    }
    let (whole, imported) = job(plan, report, "import").await?;
    report.import = Some(imported);
    let (agree, counts) = job(plan, report, "counts").await?;
    report.counts = serde_json::from_value::<Vec<Count>>(counts).context("the counts cannot be understood")?;
    if !whole {
        let address = text::address(report);
        bail!("records were left out of the import; the reasons stand at {address}/issues?phase=import");
    }
    let address = text::address(report);
    match report.altered() {
        _ if agree => Ok(Ending::Agreed),
        0 => bail!("what is staged and what is imported differ"),
        altered => bail!(
            "{} of the target changed after the import, by a disk or by somebody, named at \
             {address}/issues?phase=counts: importing again stores what was imported",
            counted(altered, "row"),
        ),
    }
}

/// Registers the migration, or finds it; the sources of its mapper in upload order, with what there is of
/// each. Where nothing can be read or nothing is there, nothing is registered.
async fn register(plan: &Plan, tables: &dyn Tables, report: &mut Report) -> Result<Vec<(String, Option<Table>)>> {
    let (client, start) = (&plan.client, Instant::now());
    let mappers: Items<Mapper> = client.get("/migration-assistance/mappers").await?;
    let mut migration: Option<Migration> = None;
    if let Some(id) = plan.migration {
        migration = Some(client.get(&format!("{MIGRATIONS}/{id}")).await?);
    }
    let wanted = plan
        .mapper
        .as_deref()
        .map(|mapper| mapper.trim_start_matches("sha256:").to_owned())
        .or_else(|| migration.as_ref()?.mapper.clone());
    let names = mappers.items.iter().map(|mapper| mapper.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(wanted) = wanted else { bail!("the migration has no mapper yet: name one with --mapper ({names})") };
    let named = |mapper: &&Mapper| mapper.name == wanted || mapper.digest == wanted;
    let Some(mapper) = mappers.items.iter().find(named) else {
        bail!("the server has no mapper `{wanted}`; it has: {names}");
    };
    let sources: Vec<String> = mapper.sources.iter().map(|source| source.name.clone()).collect();
    report.ignored_files = tables.others(&sources)?;
    let mut found = vec![];
    for source in &sources {
        found.push((source.clone(), tables.open(source)?));
    }
    if migration.is_none() && found.iter().all(|(_, table)| table.is_none()) {
        bail!(
            "there is nothing to upload: a file <source>.jsonl or <source>.csv (or .gz or .zst of it) is wanted for each of {}",
            sources.join(", ")
        );
    }
    let what = if migration.is_some() { "Going on with" } else { "Registered" };
    let migration = match migration {
        Some(migration) if migration.mapper.as_ref() == Some(&mapper.digest) => migration,
        Some(Migration { reference_id, .. }) => {
            let path = format!("{MIGRATIONS}/{reference_id}/mapper");
            client.send(Method::PUT, &path, &json!({"mapper": mapper.digest})).await?
        }
        None => {
            let body = json!({"components": plan.components, "mapper": mapper.digest, "target": plan.target});
            client.send(Method::POST, MIGRATIONS, &body).await?
        }
    };
    report.reference_id = Some(migration.reference_id);
    report.took("register", start.elapsed(), 0);
    plan.view.line(&format!("{what} migration {} with mapper {}", migration.reference_id, mapper.name));
    Ok(found)
}

async fn upload_all(plan: &Plan, sources: Vec<(String, Option<Table>)>, report: &mut Report) -> Result<()> {
    for file in &report.ignored_files {
        plan.view.line(&format!("Ignored {file}: the mapper has no such source"));
    }
    for (source, table) in sources {
        let Some(table) = table else {
            report.without_records.push(source);
            continue;
        };
        let start = Instant::now();
        let tally = upload_one(plan, &source, table, report).await.with_context(|| format!("uploading {source}"))?;
        let took = start.elapsed();
        let outcomes: Vec<String> = ["mapped", "skipped", "rejected", "quarantined"]
            .into_iter()
            .filter(|outcome| tally.of(outcome) > 0)
            .map(|outcome| format!("{} {outcome}", grouped(tally.of(outcome))))
            .collect();
        let (name, records) = (format!("Uploaded {source}"), counted(tally.records, "record"));
        plan.view.line(&format!("{name:20} {records:>19} {:>7.1} s   {}", took.as_secs_f64(), outcomes.join(", ")));
        report.took("upload", took, tally.records);
        report.sources.push(SourceReport { source, tally, seconds: took.as_secs_f64() });
    }
    if !report.sources.is_empty() && !report.without_records.is_empty() {
        plan.view.line(&format!("Without records, and not uploaded: {}", report.without_records.join(", ")));
    }
    Ok(())
}

async fn upload_one(plan: &Plan, source: &str, table: Table, report: &Report) -> Result<Tally> {
    let id = report.reference_id.context("a migration is registered first")?;
    let (Length::Bytes(total) | Length::Records(total)) = table.length;
    let bar = plan.view.bar(&format!("Uploading {source}"), Some(total));
    let seen = |bytes, records| {
        bar.set_position(if matches!(table.length, Length::Bytes(_)) { bytes } else { records });
        bar.set_message(counted(records, "record"));
    };
    let path = format!("{MIGRATIONS}/{id}/sources/{source}");
    let tally = upload::upload(&plan.client, &path, &table.form, table.chunks, seen).await;
    bar.finish_and_clear();
    tally
}

/// Validates; whether all is well. Errors are read into the report.
async fn validate(plan: &Plan, report: &mut Report) -> Result<bool> {
    let (_, result) = job(plan, report, "validate").await?;
    let validation: Validation =
        serde_json::from_value(result).context("the validation's result cannot be understood")?;
    plan.view.line(&format!(
        "{:20} {} and {} in {}",
        "",
        counted(validation.number_of_errors, "error"),
        counted(validation.number_of_warnings, "warning"),
        counted(validation.number_of_records, "record")
    ));
    report.issues = invalid::read(plan, report, &validation).await?;
    let valid = validation.is_valid;
    report.validations.push(validation);
    Ok(valid)
}

/// Runs a job to its end: whether it succeeded, and its result.
async fn job(plan: &Plan, report: &mut Report, kind: &'static str) -> Result<(bool, Value)> {
    let id = report.reference_id.context("a migration is registered first")?;
    let jobs = format!("{MIGRATIONS}/{id}/jobs");
    let start = Instant::now();
    let job: Uuid = plan.client.put(&format!("{jobs}/{kind}")).await.with_context(|| format!("starting {kind}"))?;
    report.running = Some(job);
    let (doing, done) = match kind {
        "validate" => ("Validating", "Validated"),
        "plan" => ("Planning", "Planned"),
        "import" => ("Importing", "Imported"),
        _ => ("Counting", "Counted"),
    };
    let bar = plan.view.bar(doing, Some(0));
    let ended = wait(&plan.client, &format!("{jobs}/{job}"), &bar).await;
    bar.finish_and_clear();
    let ended = ended?;
    report.running = None;
    let took = start.elapsed();
    let result = ended.result.unwrap_or_default();
    // An import's progress counts more than it stores: what it reads to generate others.
    let stored = Stored::deserialize(&result).ok().filter(|_| kind == "import");
    let records = stored.as_ref().map_or(ended.done, Stored::records);
    report.took(kind, took, records);
    match ended.state {
        JobState::Cancelled => bail!("{kind} was cancelled by somebody"),
        JobState::Interrupted => bail!("{kind} was interrupted because the server stopped"),
        _ => {}
    }
    if let Some(problem) = result.get("problem") {
        let problem = Problem::deserialize(problem).context("the job failed and its problem cannot be understood")?;
        bail!("{kind} failed. {}", problem.sentence());
    }
    let records = counted(records, "record");
    let details = stored.map(|stored| stored.words()).unwrap_or_default();
    plan.view.line(format!("{done:20} {records:>19} {:>7.1} s   {details}", took.as_secs_f64()).trim_end());
    Ok((ended.state == JobState::Succeeded, result))
}

/// Waits for a job's end.
pub async fn wait(client: &Client, path: &str, bar: &ProgressBar) -> Result<Job> {
    loop {
        let job: Job = client.get_within(path, JOB_PATIENCE).await?;
        bar.set_length(job.total);
        bar.set_position(job.done);
        bar.set_message(counted(job.done, "record"));
        if job.state != JobState::Running {
            return Ok(job);
        }
        tokio::time::sleep(JOB_PAUSE).await;
    }
}
