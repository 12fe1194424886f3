//! What a job is told when it is started: the body of the request, made into a task.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::json;
use super::problem::Problem;
use super::source_records::Outcome;
use sluice_model::{Digest, JobKind, Name, told};
use sluice_pipeline::jobs::Task;
use sluice_pipeline::{Compare, Desk, Remap, Sample, Trial, Undo};
use sluice_plugin_host::MapperPlugin;

/// What kinds of jobs can be told.
#[derive(ToSchema)]
#[schema(as = JobRequest)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes bodies to readers of the API's document; each kind reads its own")]
pub enum Asked {
    Remap(RemapRequest),
    Trial(TrialRequest),
    Compare(CompareRequest),
    Plan(PlanRequest),
    Undo(UndoRequest),
}

/// What is to be mapped again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemapRequest {
    /// Only source records that came to one of these; all if there are none.
    only: Vec<Outcome>,
    /// Only these of the mapper's sources; all if there are none.
    sources: Vec<String>,
}

/// What is to be tried.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TrialRequest {
    /// Digest of the mapper; the migration's own if there is none.
    #[schema(value_type = Option<String>)]
    mapper: Option<Digest>,
    /// Some of the records; all if there is none.
    sample: Option<SampleRequest>,
    /// Hours for which its target is kept, as an SQLite file that is not encrypted; none if it is to go at once.
    keep_hours: Option<u64>,
}

/// What the plan is to answer.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanRequest {
    /// Hours into which the import has to fit.
    window_hours: Option<f64>,
}

/// What is to be taken back.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UndoRequest {
    /// Say what would be taken back, and call nothing.
    preview: bool,
    /// Of which records.
    only: UndoOnly,
}

/// Of which records something is taken back.
#[derive(Default, Serialize, Deserialize, ToSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum UndoOnly {
    /// Of all.
    #[default]
    All,
    /// Of those that somebody has abandoned.
    Abandoned,
}

/// What is to be compared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// Digest of the mapper that is there.
    #[schema(value_type = String)]
    from: Digest,
    /// Digest of the mapper that may take its place.
    #[schema(value_type = String)]
    to: Digest,
    /// Some of the records; all if there is none.
    sample: Option<SampleRequest>,
}

/// Part of the records, the same each time.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleRequest {
    /// About how many: each is chosen by its key and the seed.
    #[schema(minimum = 1)]
    records: u64,
    /// Another seed chooses others.
    #[serde(default)]
    seed: u64,
}

impl From<SampleRequest> for Sample {
    fn from(SampleRequest { records, seed }: SampleRequest) -> Self {
        Self { records, seed }
    }
}

/// What the job is to do, by its kind and the body of the request. A kind that can be told nothing reads no body.
pub fn task(desk: &Desk, kind: JobKind, headers: &HeaderMap, bytes: &[u8]) -> Result<Task, Problem> {
    match kind {
        JobKind::Validate => Ok(Task::Validate),
        JobKind::Import => Ok(Task::Import),
        JobKind::Counts => Ok(Task::Counts),
        JobKind::Replay => Ok(Task::Replay),
        JobKind::Plan => {
            let PlanRequest { window_hours } = told_or_default(headers, bytes, r#"{"windowHours":8}, optional"#)?;
            if window_hours.is_some_and(|hours| !(hours > 0.0 && hours < 100_000.0)) {
                return Err(Problem::unprocessable(
                    "INVALID_WINDOW",
                    "windowHours has to be above 0 and below 100,000.",
                ));
            }
            needs_platform(desk)?;
            Ok(Task::Plan(sluice_pipeline::Asked { window_hours }))
        }
        JobKind::Undo => {
            let shape = r#"{"preview":true,"only":"abandoned"}, each optional"#;
            let UndoRequest { preview, only } = told_or_default(headers, bytes, shape)?;
            needs_platform(desk)?;
            Ok(Task::Undo(Undo { preview, abandoned: only == UndoOnly::Abandoned }))
        }
        JobKind::Remap => {
            let asked: RemapRequest =
                told_or_default(headers, bytes, r#"{"only":["quarantined"],"sources":["client"]}"#)?;
            let mapper = own_mapper(desk)?;
            let sources = known_sources(&mapper, &asked.sources)?;
            Ok(Task::Remap(Remap { mapper, only: asked.only.into_iter().map(Outcome::status).collect(), sources }))
        }
        JobKind::Trial => {
            let shape = r#"{"mapper":"<SHA-256>","sample":{"records":1000,"seed":1},"keepHours":24}, each optional"#;
            let asked: TrialRequest = told_or_default(headers, bytes, shape)?;
            let most = desk.config.trial.max_keep_hours;
            let keep_hours = asked.keep_hours.unwrap_or(0);
            if keep_hours > most {
                let detail = told!("keepHours may be {} at most (`trial.max_keep_hours` in the configuration).", most);
                return Err(Problem::unprocessable("KEPT_TOO_LONG", detail));
            }
            let mapper = match asked.mapper {
                Some(digest) => Some(tryable(desk, digest)?),
                None => desk.own_mapper()?,
            };
            Ok(Task::Trial(Trial { mapper, sample: asked.sample.map(Sample::from), keep_hours }))
        }
        JobKind::Compare => {
            let shape = r#"{"from":"<SHA-256>","to":"<SHA-256>","sample":{"records":1000,"seed":1}}, sample optional"#;
            let asked: CompareRequest = json(headers, bytes, shape)?;
            let (from, to) = (tryable(desk, asked.from)?, tryable(desk, asked.to)?);
            Ok(Task::Compare(Compare { from, to, sample: asked.sample.map(Sample::from) }))
        }
    }
}

/// Whether the migration goes to a platform that is entered through its API.
fn needs_platform(desk: &Desk) -> Result<(), Problem> {
    if desk.migration.target.is_some() {
        return Ok(());
    }
    let detail =
        "The migration goes to the embedded platform. Register one with a target to plan calls and to take them back.";
    Err(Problem::conflict("NO_PLATFORM", detail))
}

fn told_or_default<'a, T: Deserialize<'a> + Default>(
    headers: &HeaderMap,
    bytes: &'a [u8],
    shape: &'static str,
) -> Result<T, Problem> {
    if bytes.is_empty() { Ok(T::default()) } else { json(headers, bytes, shape) }
}

fn own_mapper(desk: &Desk) -> Result<Arc<MapperPlugin>, Problem> {
    desk.own_mapper()?
        .ok_or_else(|| Problem::conflict("NO_MAPPER", "The migration has no mapper. Set one with PUT …/mapper."))
}

/// The mapper with this digest.
fn tryable(desk: &Desk, digest: Digest) -> Result<Arc<MapperPlugin>, Problem> {
    desk.mapper(digest)?.ok_or_else(|| {
        let detail =
            "There is no mapper with this digest that the migration may try: GET …/mappers lists those there are.";
        Problem::unprocessable("UNKNOWN_MAPPER", detail)
    })
}

/// The mapper's sources with these names.
fn known_sources(mapper: &MapperPlugin, names: &[String]) -> Result<Vec<Name>, Problem> {
    let known = |name: &String| mapper.source(name).map(|source| source.name.clone());
    names.iter().map(known).collect::<Option<_>>().ok_or_else(|| {
        let names: Vec<&Name> = mapper.description.sources.iter().map(|source| &source.name).collect();
        let detail = told!("{} has not all of these sources. It has: {}.", mapper.title(), names);
        Problem::unprocessable("NO_SUCH_SOURCE", detail)
    })
}
