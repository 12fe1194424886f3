//! The five steps of a migration over HTTP: register, upload, validate, import, count.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use sluice_client::{BodyChunks, JobResult, MapperView, MigrationView, ResultTally, SluiceClient, UploadFormat};
use sluice_model::JobState;
use uuid::Uuid;

use crate::format::{counted, grouped};
use crate::migration::job::show_progress;
use crate::migration::plan;
use crate::migration::run::report::{MigrationEnding, MigrationReport, SourceReport};
use crate::migration::run::{invalid_records, report_text};
use crate::migration::source_files;
use crate::progress::ProgressDisplay;

/// Maximum number of validations after deletions. Records refer to each other over a few steps, so a few rounds reach the
/// end of any chain. More rounds are necessary only if there are more errors than the server lists.
const MAX_ROUNDS: usize = 100;

/// Options of a run.
pub struct MigrationOptions {
    /// Client of the server.
    pub client: SluiceClient,
    /// Display of progress.
    pub progress: ProgressDisplay,
    /// Name or digest of the mapper. None keeps the mapper of an existing migration.
    pub mapper: Option<String>,
    /// Components that a new migration covers.
    pub components: Vec<String>,
    /// Name of the platform, or none for the embedded target.
    pub target: Option<String>,
    /// Migration to continue, or none for a new one.
    pub migration: Option<Uuid>,
    /// True if the run imports the other records after source records were refused.
    pub keep_going: bool,
    /// True if the run deletes records with validation errors and imports the others.
    pub delete_invalid: bool,
    /// True if the import removes records from the target that were deleted from staging.
    pub remove: bool,
}

/// Records of a source.
pub struct TableFile {
    /// Format of the records.
    pub format: UploadFormat,
    /// Bytes of the records.
    pub chunks: BodyChunks,
    /// Length, for the progress bar.
    pub length: TableLength,
}

/// Length of a source table.
#[derive(Clone, Copy)]
pub enum TableLength {
    /// Length in bytes.
    Bytes(u64),
    /// Number of records.
    Records(u64),
}

/// Source tables of a customer.
pub trait SourceTables: Sync {
    /// Opens the table of a source. Returns none if there is no table or it has no records.
    fn open(&self, source: &str) -> Result<Option<TableFile>>;

    /// Returns the files that are not the table of one of these sources.
    fn other_files(&self, sources: &[String]) -> Result<Vec<IgnoredFile>>;
}

/// A file that is not uploaded.
pub struct IgnoredFile {
    /// Name.
    pub file: String,
    /// Reason.
    pub reason: &'static str,
}

/// Numbers of records that an import wrote.
#[derive(Deserialize)]
struct ImportCounts {
    inserted: u64,
    updated: u64,
    unchanged: u64,
}

impl ImportCounts {
    fn records(&self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }

    fn text(&self) -> String {
        let Self { inserted, updated, unchanged } = self;
        format!("{} new, {} changed, {} unchanged", grouped(inserted), grouped(updated), grouped(unchanged))
    }
}

/// Runs the steps. Ctrl-C stops the run and cancels its job. The report says how the run ended.
pub async fn run(options: &MigrationOptions, tables: &dyn SourceTables, report: &mut MigrationReport) {
    let ended = tokio::select! {
        ended = run_steps(options, tables, report) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    match ended {
        Some(Ok(ending)) => report.ending = ending,
        Some(Err(error)) => {
            report.ending = MigrationEnding::Failed;
            report.error = Some(format!("{error:#}"));
        }
        None => {
            report.ending = MigrationEnding::Interrupted;
            options.progress.line("Interrupted: cancelling the running job. Press Ctrl-C again to leave it running.");
            tokio::spawn(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(MigrationEnding::Interrupted.exit_code().into());
                }
            });
            if let (Some(migration), Some(job)) = (report.reference_id, report.running) {
                // The server refuses to cancel a job that has just ended.
                let _ = options.client.cancel_job(migration, job).await;
            }
        }
    }
}

async fn run_steps(
    options: &MigrationOptions,
    tables: &dyn SourceTables,
    report: &mut MigrationReport,
) -> Result<MigrationEnding> {
    let sources = register(options, tables, report).await?;
    upload_all(options, sources, report).await?;
    let mut valid = validate(options, report).await?;
    if report.refused() > 0 && !options.keep_going {
        return Ok(MigrationEnding::Invalid);
    }
    let mut rounds = 0;
    while !valid && options.delete_invalid && rounds < MAX_ROUNDS {
        rounds += 1;
        if invalid_records::delete(options, report).await? == 0 {
            bail!("validation found errors, but none in a record that can be deleted");
        }
        valid = validate(options, report).await?;
    }
    if !valid {
        return Ok(MigrationEnding::Invalid);
    }
    if options.target.is_some() {
        let result = run_job(options, report, "plan").await?;
        options.progress.line(&format!("  {}", plan::sentence(&result.value)));
    }
    if options.target.is_none() {
        preview_import(options, report).await?;
    }
    let result = run_job(options, report, "import").await?;
    let is_complete = result.state == JobState::Succeeded;
    report.import = Some(result.value);
    let result = run_job(options, report, "counts").await?;
    let agree = result.state == JobState::Succeeded;
    report.counts = result.counts()?;
    let address = report_text::address(report);
    if !is_complete {
        bail!("records were left out of the import: see {address}/issues?phase=import for the reasons");
    }
    match report.altered() {
        _ if agree => Ok(MigrationEnding::Agreed),
        _ if report.lines().is_some_and(|(read, accounted)| read != accounted) => bail!(
            "not every line of the tables is accounted for: see `TotalLines` in the counts, and upload the table again, all \
             of it"
        ),
        0 if report.not_staged() > 0 => bail!(
            "{} of the target were deleted from staging after they were imported: see {address}/issues?phase=counts. \
             --remove removes them from the target, and `sluice import {} --preview` shows them",
            counted(report.not_staged(), "record"),
            report.reference_id.unwrap_or_default(),
        ),
        0 => bail!("staged and imported records differ"),
        altered => bail!(
            "{} of the target changed after the import, by a disk error or by another program: see \
             {address}/issues?phase=counts for the records. Another import restores them",
            counted(altered, "row"),
        ),
    }
}

/// Says what the import will generate, and what it could remove.
async fn preview_import(options: &MigrationOptions, report: &MigrationReport) -> Result<()> {
    let (client, id) = (&options.client, report.reference_id.context("a migration is registered first")?);
    let job = client.start_job(id, "import", Some(&json!({"preview": true}))).await.context("starting a preview")?;
    let result = client.wait_for_job(id, job, |_| ()).await?.into_result("import")?;
    let going = if options.remove { "will be removed" } else { "stay without --remove" };
    for (member, action) in [("toGenerate", "will be generated"), ("toRemove", going)] {
        for (entity_type, count) in result.value[member].as_object().into_iter().flatten() {
            if *count != 0 {
                options.progress.line(&format!("  {} {entity_type} {action}", grouped(count)));
            }
        }
    }
    Ok(())
}

/// Registers the migration, or finds it, and returns the sources of its mapper in upload order, with their tables. It
/// registers nothing if a table cannot be read or if there is none.
async fn register(
    options: &MigrationOptions,
    tables: &dyn SourceTables,
    report: &mut MigrationReport,
) -> Result<Vec<(String, Option<TableFile>)>> {
    let (client, start) = (&options.client, Instant::now());
    let mappers = client.mappers().await?;
    let existing: Option<MigrationView> = match options.migration {
        Some(id) => Some(client.migration(id).await?),
        None => None,
    };
    let mapper = find_mapper(&mappers, options.mapper.as_deref(), existing.as_ref())?;
    let sources: Vec<String> = mapper.sources.iter().map(|source| source.name.clone()).collect();
    let ignored = tables.other_files(&sources)?;
    for IgnoredFile { file, reason } in &ignored {
        options.progress.line(&format!("Ignored {file}: {reason}"));
    }
    report.ignored_files = ignored.into_iter().map(|ignored| ignored.file).collect();
    let mut opened = vec![];
    for source in &sources {
        opened.push((source.clone(), tables.open(source)?));
    }
    if existing.is_none() && opened.iter().all(|(_, table)| table.is_none()) {
        bail!(
            "there is nothing to upload: give a file <source>.jsonl or <source>.csv (or .gz or .zst of it) for a source \
             of the mapper: {}",
            sources.join(", ")
        );
    }
    let action = if existing.is_some() { "Continuing" } else { "Registered" };
    let migration = match existing {
        Some(migration) if migration.mapper_digest.as_ref() == Some(&mapper.digest) => migration,
        Some(migration) => client.set_mapper(migration.reference_id, &mapper.digest).await?,
        None => client.register(&options.components, &mapper.digest, options.target.as_deref()).await?,
    };
    report.reference_id = Some(migration.reference_id);
    report.add_step("register", start.elapsed(), 0);
    let MapperView { name, version, digest, .. } = mapper;
    // A name means one of several versions.
    let others = mappers.iter().filter(|other| other.name == *name).count() - 1;
    let others = match others {
        0 => String::new(),
        others => format!("; {others} more of this name: name one by --mapper DIGEST"),
    };
    let mapper = format!("{name} {version} ({}{others})", digest.get(..12).unwrap_or(digest));
    options.progress.line(&format!("{action} migration {} with mapper {mapper}", migration.reference_id));
    Ok(opened)
}

/// Finds the mapper with this name or digest, or the migration's own if none is named.
fn find_mapper<'a>(
    mappers: &'a [MapperView],
    mapper: Option<&str>,
    migration: Option<&MigrationView>,
) -> Result<&'a MapperView> {
    let mapper = mapper.map(|mapper| mapper.trim_start_matches("sha256:"));
    let mapper = mapper.or_else(|| migration?.mapper_digest.as_deref());
    let names = mappers.iter().map(|mapper| mapper.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(mapper) = mapper else { bail!("the migration has no mapper yet: name one with --mapper ({names})") };
    match mappers.iter().find(|known| known.name == mapper || known.digest == mapper) {
        Some(found) => Ok(found),
        None => bail!("the server has no mapper `{mapper}`; it has: {names}"),
    }
}

async fn upload_all(
    options: &MigrationOptions,
    sources: Vec<(String, Option<TableFile>)>,
    report: &mut MigrationReport,
) -> Result<()> {
    for (source, table) in sources {
        let Some(table) = table else {
            report.without_records.push(source);
            continue;
        };
        let start = Instant::now();
        let tally = match upload_source(options, &source, table, report).await {
            Err(error) if error.downcast_ref().is_some_and(source_files::is_empty_table) => {
                report.without_records.push(source);
                continue;
            }
            tally => tally.with_context(|| format!("uploading {source}"))?,
        };
        let time = start.elapsed();
        let outcomes: Vec<String> = ["mapped", "skipped", "rejected", "quarantined"]
            .into_iter()
            .filter(|outcome| tally.count(outcome) > 0)
            .map(|outcome| format!("{} {outcome}", grouped(tally.count(outcome))))
            .collect();
        let outcomes = if tally.records == 0 { "a header, and no rows".into() } else { outcomes.join(", ") };
        let (name, records) = (format!("Uploaded {source}"), counted(tally.records, "record"));
        let seconds = time.as_secs_f64();
        options.progress.line(&format!("{name:20} {records:>19} {seconds:>7.1} s   {outcomes}"));
        report.add_step("upload", time, tally.records);
        report.sources.push(SourceReport { source, tally, seconds });
    }
    if !report.sources.is_empty() && !report.without_records.is_empty() {
        options.progress.line(&format!("Not uploaded, without records: {}", report.without_records.join(", ")));
    }
    Ok(())
}

async fn upload_source(
    options: &MigrationOptions,
    source: &str,
    table: TableFile,
    report: &MigrationReport,
) -> Result<ResultTally> {
    let id = report.reference_id.context("a migration is registered first")?;
    let (TableLength::Bytes(total) | TableLength::Records(total)) = table.length;
    let bar = options.progress.bar(&format!("Uploading {source}"), Some(total));
    let show = |bytes, records| {
        bar.set_position(if matches!(table.length, TableLength::Bytes(_)) { bytes } else { records });
        bar.set_message(counted(records, "record"));
    };
    let tally = options.client.upload_source(id, source, &table.format, table.chunks, show).await;
    bar.finish_and_clear();
    Ok(tally?)
}

/// Validates, and adds the errors to the report. Returns true if there are none.
async fn validate(options: &MigrationOptions, report: &mut MigrationReport) -> Result<bool> {
    let validation = run_job(options, report, "validate").await?.validation()?;
    options.progress.line(&format!(
        "{:20} {} and {} in {}",
        "",
        counted(validation.number_of_errors, "error"),
        counted(validation.number_of_warnings, "warning"),
        counted(validation.number_of_records, "record")
    ));
    report.issues = invalid_records::read(options, report, &validation).await?;
    let is_valid = validation.is_valid;
    report.validations.push(validation);
    Ok(is_valid)
}

/// Runs a job to its end, adds its time to the report, and returns its result.
async fn run_job(options: &MigrationOptions, report: &mut MigrationReport, kind: &'static str) -> Result<JobResult> {
    let id = report.reference_id.context("a migration is registered first")?;
    let start = Instant::now();
    let parameters = (kind == "import" && options.remove).then(|| json!({"remove": true}));
    let job = options.client.start_job(id, kind, parameters.as_ref()).await;
    let job = job.with_context(|| format!("starting {kind}"))?;
    report.running = Some(job);
    let (activity, done) = match kind {
        "validate" => ("Validating", "Validated"),
        "plan" => ("Planning", "Planned"),
        "import" => ("Importing", "Imported"),
        _ => ("Counting", "Counted"),
    };
    let bar = options.progress.bar(activity, Some(0));
    let ended = options.client.wait_for_job(id, job, |job| show_progress(&bar, job)).await;
    bar.finish_and_clear();
    let ended = ended?;
    report.running = None;
    let time = start.elapsed();
    // The progress of an import also counts records that it reads to generate others.
    let result = ended.result.as_ref().filter(|_| kind == "import");
    let written = result.and_then(|result| ImportCounts::deserialize(result).ok());
    let records = written.as_ref().map_or(ended.done, ImportCounts::records);
    report.add_step(kind, time, records);
    let result = ended.into_result(kind)?;
    let (records, details) = (counted(records, "record"), written.map(|counts| counts.text()).unwrap_or_default());
    options.progress.line(format!("{done:20} {records:>19} {:>7.1} s   {details}", time.as_secs_f64()).trim_end());
    Ok(result)
}
