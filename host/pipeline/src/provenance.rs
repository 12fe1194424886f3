//! A record's story: what it was made from, by which plugins, what was said of it, and where it went.

use serde::Serialize;
use uuid::Uuid;

use super::{Desk, Failure};
use sluice_catalog::RecordIssue;
use sluice_model::{Code, Digest, FieldPath, Name, Version};
use sluice_staging::{Key, Origin, StagedEntry, StreamName};

/// All that is known of a record.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    #[schema(value_type = String, example = "counterparties")]
    entity_type: Name,
    reference_id: Uuid,
    /// Of the record as it is staged.
    #[schema(value_type = String)]
    sha256: Digest,
    /// What it was made from; a record in the platform's own shape is its own source.
    made_from: MadeFrom,
    /// The mapper that made it.
    mapper: Option<NamedPlugin>,
    /// The domain plugin that judges it.
    domain_plugin: Option<NamedPlugin>,
    /// Every issue of it that is still listed, the oldest first.
    issues: Vec<ToldIssue>,
    /// What was done with it: one effect on the target each.
    steps: Vec<Done>,
}

/// What a record was made from.
#[derive(Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct MadeFrom {
    /// `source` for a record of a source table, `upload` for one in the platform's own shape, `generated`.
    kind: &'static str,
    /// The source table.
    #[schema(value_type = Option<String>)]
    source: Option<Name>,
    /// Number of the upload.
    upload: Option<u32>,
    /// Of the upload's body, whole.
    #[schema(value_type = Option<String>)]
    upload_sha256: Option<Digest>,
    /// Line of the upload, or number in its sequence.
    line: Option<u64>,
    /// Where in the upload it begins and ends, in bytes.
    bytes: Option<[u64; 2]>,
    /// Of the source record's bytes.
    #[schema(value_type = Option<String>)]
    sha256: Option<Digest>,
}

/// A plugin.
#[derive(Serialize, utoipa::ToSchema)]
struct NamedPlugin {
    #[schema(value_type = String)]
    digest: Digest,
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    #[schema(value_type = Option<String>)]
    version: Option<Version>,
}

/// What was found wrong with it.
#[derive(Serialize, utoipa::ToSchema)]
struct ToldIssue {
    /// `load`, `validate` or `import`.
    phase: &'static str,
    /// Whether the phase was run again since.
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
struct Done {
    /// `store`: a row in the entity type's table.
    step: &'static str,
    /// The target's key of it.
    key: Uuid,
    /// The domain plugin that planned it.
    #[schema(value_type = String)]
    domain_plugin: Digest,
    /// Whether the target has it as it is staged now.
    current: bool,
}

/// The story of a staged record; none where there is no such record.
pub fn provenance(desk: &Desk, entity_type: &Name, id: Key) -> Result<Option<Story>, Failure> {
    let Some((record, body)) = desk.area.record(entity_type, id)? else { return Ok(None) };
    let (migration, reference_id) = (desk.migration.reference_id, Uuid::from_bytes(id));
    let made_from = match record.origin {
        Origin::Source { stream, ordinal } => of_source(desk, stream, ordinal)?,
        Origin::Line(line) => MadeFrom {
            kind: "upload",
            upload: Some(record.upload),
            line: Some(line),
            sha256: Some(Digest::of(&body)),
            ..MadeFrom::default()
        },
        Origin::Generated => MadeFrom { kind: "generated", ..MadeFrom::default() },
    };
    let uploads = desk.store.uploads(migration)?;
    let upload = uploads.iter().find(|upload| Some(upload.number) == made_from.upload);
    let upload_sha256 = upload.and_then(|upload| Some(upload.ended.as_ref()?.1.as_ref().ok()?.body));
    let made_from = MadeFrom { upload_sha256, ..made_from };
    let maker = uploads.iter().find(|upload| upload.number == record.upload);
    let mapper = maker.and_then(|upload| upload.mapper).map(|digest| named(desk, digest)).transpose()?;
    let judge = desk.plugins.of_entity_type(entity_type);
    let line = made_from.source.as_ref().zip(made_from.line);
    let issues =
        desk.store.issues_of(migration, entity_type, reference_id, line.map(|(source, line)| (&**source, line)))?;
    let mut steps = vec![];
    if let Some(described) = judge.and_then(|judge| judge.entity_type(entity_type))
        && let Some(arrived) = desk.target.arrived(described, id)?
        && arrived.migration == migration
    {
        steps.push(Done {
            step: "store",
            key: reference_id,
            domain_plugin: arrived.provenance.domain_plugin,
            current: arrived.hash == record.hash,
        });
    }
    Ok(Some(Story {
        entity_type: entity_type.clone(),
        reference_id,
        sha256: Digest::of(&body),
        made_from,
        mapper,
        domain_plugin: judge.map(|judge| named(desk, judge.digest)).transpose()?,
        issues: issues.into_iter().map(told).collect(),
        steps,
    }))
}

fn of_source(desk: &Desk, stream: u16, ordinal: u64) -> Result<MadeFrom, Failure> {
    let unknown = MadeFrom { kind: "source", ..MadeFrom::default() };
    let Some(source) = desk.area.source_of(stream)? else { return Ok(unknown) };
    let Some((entry, body)) = desk.area.entry(StreamName::Source(&source), ordinal)? else { return Ok(unknown) };
    let (upload, offset) = uploaded(desk, &source, &entry)?;
    // A row of a table is not the record that was made of it: its line is where it is found.
    let in_table = desk.store.is_table(desk.migration.reference_id, upload)?;
    Ok(MadeFrom {
        source: Some(Name::kept(&source)),
        upload: Some(upload),
        line: Some(entry.line()).filter(|line| *line > 0),
        bytes: offset.filter(|_| !in_table).map(|start| [start, start + body.len() as u64]),
        sha256: Some(Digest::of(&body)),
        ..unknown
    })
}

/// The upload that a source record came with, and where it began in it. One that was mapped again came with an earlier
/// one.
fn uploaded(desk: &Desk, source: &str, entry: &StagedEntry) -> Result<(u32, Option<u64>), Failure> {
    for ordinal in desk.area.versions(StreamName::Source(source), entry.key)?.into_iter().rev() {
        let Some((version, _)) = desk.area.entry(StreamName::Source(source), ordinal)? else { continue };
        if ordinal > entry.ordinal || version.hash != entry.hash {
            continue;
        }
        let batch = desk.area.batch_of(source, ordinal)?;
        let member = batch.and_then(|batch| batch.members.into_iter().find(|member| member.ordinal == ordinal));
        if let Some(offset) = member.and_then(|member| member.offset) {
            return Ok((version.upload, Some(offset)));
        }
    }
    Ok((entry.upload, None))
}

fn named(desk: &Desk, digest: Digest) -> Result<NamedPlugin, Failure> {
    let (name, version) = match desk.store.plugin(digest, Some(&desk.migration.tenant))? {
        Some(kept) => (Some(kept.name), Some(kept.version)),
        None => (None, None),
    };
    Ok(NamedPlugin { digest, name, version })
}

fn told(found: RecordIssue) -> ToldIssue {
    let RecordIssue { phase, superseded, issue } = found;
    ToldIssue {
        phase: phase.as_str(),
        superseded,
        severity: issue.severity.as_str(),
        code: issue.code,
        field: issue.field,
        rule: issue.rule,
    }
}
