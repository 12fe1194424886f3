//! Provenance of a record: its source, its plugins, its issues, and its row in the target.

use serde::Serialize;
use uuid::Uuid;

use crate::{MigrationContext, PipelineError};
use sluice_catalog::RecordIssue;
use sluice_model::{Code, Digest, FieldPath, Name, Version};
use sluice_staging::{Key, Origin, StagedEntry, StreamName};

/// Provenance of a record.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordProvenance {
    #[schema(value_type = String, example = "counterparties")]
    entity_type: Name,
    reference_id: Uuid,
    /// SHA-256 of the record as it is staged.
    #[schema(value_type = String)]
    sha256: Digest,
    /// Source of the record. A record in the platform's own shape is its own source.
    made_from: ProvenanceOrigin,
    /// Mapper that made the record.
    mapper: Option<ProvenancePlugin>,
    /// Domain plugin that validates the record.
    domain_plugin: Option<ProvenancePlugin>,
    /// Issues of the record that are still listed, the oldest first.
    issues: Vec<ProvenanceIssue>,
    /// Effects of the record on the target.
    steps: Vec<ProvenanceStep>,
}

/// Source of a record.
#[derive(Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProvenanceOrigin {
    /// Kind of the source: `source` for a record of a source table, `upload` for a record in the platform's own shape,
    /// or `generated`.
    kind: &'static str,
    /// Name of the source table.
    #[schema(value_type = Option<String>)]
    source: Option<Name>,
    /// Number of the upload.
    upload: Option<u32>,
    /// SHA-256 of the whole upload.
    #[schema(value_type = Option<String>)]
    upload_sha256: Option<Digest>,
    /// Line in the upload, or number in its sequence.
    line: Option<u64>,
    /// Start and end of the record in the upload, in bytes.
    bytes: Option<[u64; 2]>,
    /// SHA-256 of the source record.
    #[schema(value_type = Option<String>)]
    sha256: Option<Digest>,
}

/// A plugin.
#[derive(Serialize, utoipa::ToSchema)]
struct ProvenancePlugin {
    #[schema(value_type = String)]
    digest: Digest,
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    #[schema(value_type = Option<String>)]
    version: Option<Version>,
}

/// An issue of the record.
#[derive(Serialize, utoipa::ToSchema)]
struct ProvenanceIssue {
    /// Phase of the issue: `load`, `validate` or `import`.
    phase: &'static str,
    /// True if the phase was run again since.
    superseded: bool,
    severity: &'static str,
    #[schema(value_type = String)]
    code: Code,
    #[schema(value_type = String)]
    field: FieldPath,
    #[schema(value_type = Option<String>)]
    rule: Option<Code>,
}

/// An effect on the target.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProvenanceStep {
    /// Kind of the effect: `store` for a row in the entity type's table.
    step: &'static str,
    /// Key of the row in the target.
    key: Uuid,
    /// Domain plugin that planned the row.
    #[schema(value_type = String)]
    domain_plugin: Digest,
    /// True if the target has the record as it is staged now.
    current: bool,
}

/// Returns the provenance of a staged record; none if there is no such record.
pub fn provenance(
    context: &MigrationContext,
    entity_type: &Name,
    id: Key,
) -> Result<Option<RecordProvenance>, PipelineError> {
    let Some((record, body)) = context.area.record(entity_type, id)? else { return Ok(None) };
    let (migration, reference_id) = (context.migration.reference_id, Uuid::from_bytes(id));
    let made_from = match record.origin {
        Origin::Source { stream, ordinal } => source_origin(context, stream, ordinal)?,
        Origin::Line(line) => ProvenanceOrigin {
            kind: "upload",
            upload: Some(record.upload),
            line: Some(line),
            sha256: Some(Digest::of(&body)),
            ..ProvenanceOrigin::default()
        },
        Origin::Generated => ProvenanceOrigin { kind: "generated", ..ProvenanceOrigin::default() },
    };
    let uploads = context.store.uploads(migration)?;
    let upload = uploads.iter().find(|upload| Some(upload.number) == made_from.upload);
    let upload_sha256 = upload.and_then(|upload| Some(upload.ended.as_ref()?.1.as_ref().ok()?.body));
    let made_from = ProvenanceOrigin { upload_sha256, ..made_from };
    let maker = uploads.iter().find(|upload| upload.number == record.upload);
    let mapper = maker.and_then(|upload| upload.mapper).map(|digest| plugin_of(context, digest)).transpose()?;
    let validator = context.plugins.of_entity_type(entity_type);
    let line = made_from.source.as_ref().zip(made_from.line);
    let issues =
        context.store.issues_of(migration, entity_type, reference_id, line.map(|(source, line)| (&**source, line)))?;
    let mut steps = vec![];
    if let Some(described) = validator.and_then(|validator| validator.entity_type(entity_type))
        && let Some(imported_row) = context.target.imported_row(described, id)?
        && imported_row.migration == migration
    {
        steps.push(ProvenanceStep {
            step: "store",
            key: reference_id,
            domain_plugin: imported_row.provenance.domain_plugin,
            current: imported_row.hash == record.hash,
        });
    }
    Ok(Some(RecordProvenance {
        entity_type: entity_type.clone(),
        reference_id,
        sha256: Digest::of(&body),
        made_from,
        mapper,
        domain_plugin: validator.map(|validator| plugin_of(context, validator.digest)).transpose()?,
        issues: issues.into_iter().map(listed_issue).collect(),
        steps,
    }))
}

fn source_origin(context: &MigrationContext, stream: u16, ordinal: u64) -> Result<ProvenanceOrigin, PipelineError> {
    let unknown = ProvenanceOrigin { kind: "source", ..ProvenanceOrigin::default() };
    let Some(source) = context.area.source_of(stream)? else { return Ok(unknown) };
    let Some((entry, body)) = context.area.entry(StreamName::Source(&source), ordinal)? else { return Ok(unknown) };
    let (upload, offset) = upload_of(context, &source, &entry)?;
    // A row of a table is not the record that was made of it, so its line is shown and not its bytes.
    let in_table = context.store.is_table(context.migration.reference_id, upload)?;
    Ok(ProvenanceOrigin {
        source: Some(Name::from_storage(&source)),
        upload: Some(upload),
        line: Some(entry.line()).filter(|line| *line > 0),
        bytes: offset.filter(|_| !in_table).map(|start| [start, start + body.len() as u64]),
        sha256: Some(Digest::of(&body)),
        ..unknown
    })
}

/// Returns the upload that brought a source record, and the offset at which the record began. A record that was mapped
/// again came with an earlier upload.
fn upload_of(
    context: &MigrationContext,
    source: &str,
    entry: &StagedEntry,
) -> Result<(u32, Option<u64>), PipelineError> {
    for ordinal in context.area.versions(StreamName::Source(source), entry.key)?.into_iter().rev() {
        let Some((version, _)) = context.area.entry(StreamName::Source(source), ordinal)? else { continue };
        if ordinal > entry.ordinal || version.hash != entry.hash {
            continue;
        }
        let batch = context.area.batch_of(source, ordinal)?;
        let member = batch.and_then(|batch| batch.members.into_iter().find(|member| member.ordinal == ordinal));
        if let Some(offset) = member.and_then(|member| member.offset) {
            return Ok((version.upload, Some(offset)));
        }
    }
    Ok((entry.upload, None))
}

fn plugin_of(context: &MigrationContext, digest: Digest) -> Result<ProvenancePlugin, PipelineError> {
    let (name, version) = match context.store.plugin(digest, Some(&context.migration.tenant))? {
        Some(kept) => (Some(kept.name), Some(kept.version)),
        None => (None, None),
    };
    Ok(ProvenancePlugin { digest, name, version })
}

fn listed_issue(found: RecordIssue) -> ProvenanceIssue {
    let RecordIssue { phase, superseded, issue } = found;
    ProvenanceIssue {
        phase: phase.as_str(),
        superseded,
        severity: issue.severity.as_str(),
        code: issue.code,
        field: issue.field,
        rule: issue.rule,
    }
}
