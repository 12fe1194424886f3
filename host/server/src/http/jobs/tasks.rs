//! Request bodies of jobs, and the tasks that they describe.

use std::sync::Arc;

use axum::http::HeaderMap;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::records::source_records::SourceOutcome;
use crate::http::request::extract::json;
use sluice_model::{Digest, JobKind, Name, message};
use sluice_pipeline::jobs::Task;
use sluice_pipeline::{
    CompareOptions, ImportOptions, MigrationContext, RemapOptions, Sample, TrialOptions, UndoOptions, ValidateOptions,
};
use sluice_plugin_host::MapperPlugin;

/// Options of a job, by its kind.
#[derive(ToSchema)]
#[schema(as = JobRequest)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes bodies to readers of the API's document; each kind reads its own")]
pub enum JobRequest {
    /// Options of an import.
    Import(ImportRequest),
    /// Options of a remap job.
    Remap(RemapRequest),
    /// Options of a trial.
    Trial(TrialRequest),
    /// Options of a comparison.
    Compare(CompareRequest),
    /// Options of a plan.
    Plan(PlanRequest),
    /// Options of an undo job.
    Undo(UndoRequest),
}

/// Options of an import.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportRequest {
    /// True if the job only reports what it would generate and remove.
    preview: bool,
    /// True to remove rows of the target whose records were deleted from staging.
    remove: bool,
}

/// Options of a remap job.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemapRequest {
    /// Digest of the mapper; the migration's own mapper if absent. It becomes the migration's mapper.
    #[schema(value_type = Option<String>)]
    mapper: Option<Digest>,
    /// Outcomes of the source records to map again; all if empty.
    only: Vec<SourceOutcome>,
    /// Sources to map again; all if empty.
    sources: Vec<String>,
}

/// Options of a trial.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TrialRequest {
    /// Digest of the mapper; the migration's own mapper if absent.
    #[schema(value_type = Option<String>)]
    mapper: Option<Digest>,
    /// Sample of the records; all records if absent.
    sample: Option<SampleRequest>,
    /// Hours for which the trial's target is kept, as an SQLite file without encryption. Removed at once if absent.
    keep_hours: Option<u64>,
}

/// Options of a plan.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanRequest {
    /// Hours that are available for the import.
    window_hours: Option<f64>,
    /// Day on which the import is to be done.
    #[schema(value_type = Option<String>, format = Date)]
    migrate_on: Option<Date>,
    /// Day of the rehearsal, not after the import.
    #[schema(value_type = Option<String>, format = Date)]
    rehearse_on: Option<Date>,
}

/// Options of an undo job.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UndoRequest {
    /// True if the job only reports the rows that it would remove, or the calls that it would undo.
    preview: bool,
    /// Records to undo.
    only: UndoSelection,
}

/// Selection of the records to undo.
#[derive(Default, Serialize, Deserialize, ToSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum UndoSelection {
    /// All records.
    #[default]
    All,
    /// Abandoned records of a migration into a platform.
    Abandoned,
}

/// Options of a comparison.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// Digest of the current mapper.
    #[schema(value_type = String)]
    from: Digest,
    /// Digest of the mapper that may replace it.
    #[schema(value_type = String)]
    to: Digest,
    /// Sample of the records; all records if absent.
    sample: Option<SampleRequest>,
}

/// A sample of the records. The same sample is chosen each time.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleRequest {
    /// Approximate number of records. A record's key and the seed decide whether it is chosen.
    #[schema(minimum = 1)]
    records: u64,
    /// Seed. Another seed chooses another sample.
    #[serde(default)]
    seed: u64,
}

impl From<SampleRequest> for Sample {
    fn from(SampleRequest { records, seed }: SampleRequest) -> Self {
        Self { records, seed }
    }
}

/// Returns the task for a kind of job and a request body. Does not read the body if the kind has no options.
pub fn task(context: &MigrationContext, kind: JobKind, headers: &HeaderMap, bytes: &[u8]) -> Result<Task, Problem> {
    match kind {
        JobKind::Validate => Ok(Task::Validate(ValidateOptions::default())),
        JobKind::Import => {
            let shape = r#"{"preview":true,"remove":true}, each optional"#;
            let ImportRequest { preview, remove } = options_or_default(headers, bytes, shape)?;
            if (preview || remove) && context.migration.target.is_some() {
                let detail = "preview and remove are for the embedded platform. For a migration with a target, PUT \
                              …/jobs/plan calculates the calls, and PUT …/jobs/undo takes calls back.";
                return Err(Problem::conflict("EMBEDDED_PLATFORM_ONLY", detail));
            }
            Ok(Task::Import(ImportOptions { preview, remove }))
        }
        JobKind::Counts => Ok(Task::Counts),
        JobKind::Replay => Ok(Task::Replay),
        JobKind::Plan => {
            let shape = r#"{"windowHours":8,"migrateOn":"2027-03-27","rehearseOn":"2027-02-27"}, each optional"#;
            let PlanRequest { window_hours, migrate_on, rehearse_on } = options_or_default(headers, bytes, shape)?;
            if window_hours.is_some_and(|hours| !(hours > 0.0 && hours < 100_000.0)) {
                return Err(Problem::unprocessable("INVALID_WINDOW", "windowHours must be above 0 and below 100,000."));
            }
            if migrate_on.zip(rehearse_on).is_some_and(|(import, rehearsal)| rehearsal > import) {
                return Err(Problem::unprocessable("INVALID_WINDOW", "rehearseOn must not be after migrateOn."));
            }
            needs_platform(context)?;
            Ok(Task::Plan(sluice_pipeline::PlanOptions { window_hours, migrate_on, rehearse_on }))
        }
        JobKind::Undo => {
            let shape = r#"{"preview":true,"only":"abandoned"}, each optional"#;
            let UndoRequest { preview, only } = options_or_default(headers, bytes, shape)?;
            if only == UndoSelection::Abandoned {
                needs_platform(context)?;
            }
            Ok(Task::Undo(UndoOptions { preview, abandoned: only == UndoSelection::Abandoned }))
        }
        JobKind::Remap => {
            let asked: RemapRequest = options_or_default(
                headers,
                bytes,
                r#"{"mapper":"<SHA-256>","only":["quarantined"],"sources":["client"]}, each optional"#,
            )?;
            let mapper = match asked.mapper {
                Some(digest) => usable_mapper(context, digest)?,
                None => own_mapper(context)?,
            };
            let sources = known_sources(&mapper, &asked.sources)?;
            Ok(Task::Remap(RemapOptions {
                mapper,
                only: asked.only.into_iter().map(SourceOutcome::status).collect(),
                sources,
            }))
        }
        JobKind::Trial => {
            let shape = r#"{"mapper":"<SHA-256>","sample":{"records":1000,"seed":1},"keepHours":24}, each optional"#;
            let asked: TrialRequest = options_or_default(headers, bytes, shape)?;
            let most = context.config.trial.max_keep_hours;
            let keep_hours = asked.keep_hours.unwrap_or(0);
            if keep_hours > most {
                let detail =
                    message!("keepHours must be at most {} (`trial.max_keep_hours` in the configuration).", most);
                return Err(Problem::unprocessable("KEPT_TOO_LONG", detail));
            }
            let mapper = match asked.mapper {
                Some(digest) => Some(usable_mapper(context, digest)?),
                None => context.own_mapper()?,
            };
            Ok(Task::Trial(TrialOptions { mapper, sample: asked.sample.map(Sample::from), keep_hours }))
        }
        JobKind::Compare => {
            let shape = r#"{"from":"<SHA-256>","to":"<SHA-256>","sample":{"records":1000,"seed":1}}, sample optional"#;
            let asked: CompareRequest = json(headers, bytes, shape)?;
            let (from, to) = (usable_mapper(context, asked.from)?, usable_mapper(context, asked.to)?);
            Ok(Task::Compare(CompareOptions { from, to, sample: asked.sample.map(Sample::from) }))
        }
    }
}

/// Refuses a migration into the embedded platform.
fn needs_platform(context: &MigrationContext) -> Result<(), Problem> {
    if context.migration.target.is_some() {
        return Ok(());
    }
    let detail = "The migration goes to the embedded platform. Register a migration with a target to plan calls, or to undo abandoned records.";
    Err(Problem::conflict("NO_PLATFORM", detail))
}

fn options_or_default<'a, T: Deserialize<'a> + Default>(
    headers: &HeaderMap,
    bytes: &'a [u8],
    shape: &'static str,
) -> Result<T, Problem> {
    if bytes.is_empty() { Ok(T::default()) } else { json(headers, bytes, shape) }
}

fn own_mapper(context: &MigrationContext) -> Result<Arc<MapperPlugin>, Problem> {
    context
        .own_mapper()?
        .ok_or_else(|| Problem::conflict("NO_MAPPER", "The migration has no mapper. Set one with PUT …/mapper."))
}

/// Returns the mapper with this digest.
fn usable_mapper(context: &MigrationContext, digest: Digest) -> Result<Arc<MapperPlugin>, Problem> {
    context.mapper(digest)?.ok_or_else(|| {
        let detail = "The migration may use no mapper with this digest. GET …/mappers lists the mappers.";
        Problem::unprocessable("UNKNOWN_MAPPER", detail)
    })
}

/// Returns the names of these sources, if the mapper has them all.
fn known_sources(mapper: &MapperPlugin, names: &[String]) -> Result<Vec<Name>, Problem> {
    let known = |name: &String| mapper.source(name).map(|source| source.name.clone());
    names.iter().map(known).collect::<Option<_>>().ok_or_else(|| {
        let names: Vec<&Name> = mapper.description.sources.iter().map(|source| &source.name).collect();
        let detail = message!("{} does not have all of these sources. It has: {}.", mapper.title(), names);
        Problem::unprocessable("NO_SUCH_SOURCE", detail)
    })
}
