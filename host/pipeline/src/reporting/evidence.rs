//! Evidence of a migration: its input, its plugins, its results, and the state of its audit trail.
//!
//! It is made from the catalogue alone, so that it is available after the records were erased.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::counts::{counted_entity_types, groups_of};
use super::evidence_verify::CountDefinition;
use super::line_counts::CountedUpload;
use crate::PipelineError;
use sluice_audit::{AuditScope, Head};
use sluice_catalog::{Catalog, CatalogUpload, IssueTotal, Phase, SourceOutcomeCount, Trail, TrailError};
use sluice_keys::PublicKey;
use sluice_model::{
    Approval, Digest, ImportStatus, Job, JobKind, JobState, LimitOverrides, Migration, StagingStatus, Tenant,
    UploadLines,
};
use sluice_plugin_host::Plugins;

/// The evidence that is signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceBundle {
    /// Format of the evidence: `evidence/1`.
    pub sluice: String,
    /// Reference id of the migration.
    pub migration: Uuid,
    /// Domains of the migration.
    pub components: Vec<String>,
    /// Name of its mapper, if it has one.
    pub mapper: Option<String>,
    /// Time of the registration.
    pub registered_at: Timestamp,
    /// Present status of the staged records.
    pub staging_status: StagingStatus,
    /// Present status of the import.
    pub import_status: ImportStatus,
    /// All uploads that were not withdrawn.
    pub uploads: Vec<UploadEvidence>,
    /// All domain plugins, and all mappers that were used.
    pub plugins: Vec<PluginEvidence>,
    /// Approvals of these plugins for the migration's tenant, and their revocations, the oldest first.
    pub approvals: Vec<ApprovalEvidence>,
    /// Client that started the last validation that passed. Absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated_by: Option<String>,
    /// Client that started the last import. Absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_by: Option<String>,
    /// The last counts job with a result.
    pub counts: CountsEvidence,
    /// Imports and undo jobs that removed imported records, oldest first. Absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<RemovalEvidence>,
    /// Outcomes of each source's records at the last count.
    pub sources: Vec<SourceOutcomeCount>,
    /// Number of issues by phase and code.
    pub issues: Vec<IssueEvidence>,
    /// Definitions of the counts, so that they can be repeated without the plugins.
    pub definitions: Vec<CountDefinition>,
    /// State of the migration's audit trail.
    pub audit: AuditRange,
    /// Time at which the evidence was made.
    pub generated_at: Timestamp,
    /// Version of the server that made it.
    pub server_version: String,
}

/// An upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadEvidence {
    number: u32,
    stream: String,
    /// True if staged records were mapped again, and nothing was sent. Then the digest is of these records, one for
    /// each line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rerun: bool,
    started_at: String,
    /// Time of the end; none if the upload has not ended, or the server was killed during it.
    ended_at: Option<String>,
    /// Code of the error that ended the upload early.
    failure: Option<String>,
    mapper: Option<Digest>,
    #[serde(flatten)]
    figures: Option<UploadFigures>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadFigures {
    bytes: u64,
    /// SHA-256 of the bytes as they were received.
    sha256: Digest,
    records: u64,
    accepted: u64,
    skipped: BTreeMap<String, u64>,
    rejected: u64,
    quarantined: u64,
    broken_off: bool,
    /// Lines; none if staged records were mapped again, or an earlier version received the upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines: Option<UploadLines>,
}

impl UploadEvidence {
    /// Returns the part from which lines are counted. Returns `None` if nothing was sent.
    pub(super) fn counted(&self) -> Option<CountedUpload<'_>> {
        let ended = self.figures.as_ref();
        (!self.rerun).then(|| CountedUpload {
            stream: &self.stream,
            is_source: self.mapper.is_some(),
            is_complete: ended.is_some_and(|figures| !figures.broken_off),
            lines: ended.and_then(|figures| figures.lines),
        })
    }
}

/// A plugin. If this server no longer has the plugin, only its digest is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginEvidence {
    world: String,
    name: Option<String>,
    version: Option<String>,
    digest: Digest,
    /// Client that pushed the plugin. Absent if the server was started with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pushed_by: Option<String>,
}

/// An approval of a plugin for imports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalEvidence {
    digest: Digest,
    /// Tenant of the approval; none if it holds for every tenant.
    tenant: Option<Tenant>,
    /// Id of the client, or `server` for an approval by configuration.
    by: String,
    at: Timestamp,
    /// Limits that replace the server's own.
    limits: LimitOverrides,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
}

/// A counts job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountsEvidence {
    /// Id of the job.
    pub job: Uuid,
    /// State of the job: `succeeded` if both sides agree.
    pub state: JobState,
    /// Time of the start.
    pub started_at: Timestamp,
    /// Time of the end.
    pub finished_at: Option<Timestamp>,
    /// Counts of the job.
    pub rows: Vec<CountRows>,
}

/// A job that removed imported records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemovalEvidence {
    /// Id of the job.
    pub job: Uuid,
    /// Kind of the job: `import` or `undo`.
    pub kind: String,
    /// Time of the end.
    pub finished_at: Option<Timestamp>,
    /// Number of removed records by entity type.
    pub removed: BTreeMap<String, u64>,
}

/// A verification count whose cells are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountRows {
    /// Name of the count, such as `TotalEntity`.
    pub r#type: String,
    /// Names of the columns.
    pub headers: Vec<String>,
    /// Rows of the staged records.
    pub staged_rows: Vec<Vec<String>>,
    /// Rows of the target.
    pub imported_rows: Vec<Vec<String>>,
}

/// Number of issues of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssueEvidence {
    phase: String,
    entity_type: String,
    severity: String,
    code: String,
    rule: Option<String>,
    count: u64,
}

/// The beginning of an audit trail up to an entry, and the signature of its head there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditRange {
    /// Number of the first entry.
    pub first: u64,
    /// Number of the last entry.
    pub last: u64,
    /// Time of the last entry.
    pub at: Timestamp,
    /// Hash of the last entry.
    pub hash: Digest,
    /// Signature of the trail's head at the last entry.
    pub signature: String,
}

impl AuditRange {
    /// Returns true if this key made the signature.
    pub fn is_signed_by(&self, migration: Uuid, key: &PublicKey) -> bool {
        let head = Head { scope: AuditScope::Migration(migration), entries: self.last, hash: self.hash, at: self.at };
        Head::read(head.line(key, &self.signature).as_bytes(), Some(key)).is_ok()
    }
}

impl EvidenceBundle {
    /// Reads a bundle whose signature was verified.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns the text that is signed.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("evidence can be written as JSON")
    }
}

/// Makes the evidence of a migration. Returns none if the migration was never counted.
pub fn evidence(
    migration: &Migration,
    store: &Catalog,
    plugins: &Plugins,
    trail: &Trail,
) -> Result<Option<EvidenceBundle>, PipelineError> {
    let id = migration.reference_id;
    let Some(job) = store.last_counts(id)? else { return Ok(None) };
    let rows = job.result.and_then(|rows| serde_json::from_str(&rows.to_string()).ok()).unwrap_or_default();
    let counts = CountsEvidence {
        job: job.id,
        state: job.state,
        started_at: job.started_at,
        finished_at: job.finished_at,
        rows,
    };
    // Nothing of a withdrawn upload is left but the trail's entries.
    let mut uploads = store.uploads(id)?;
    uploads.retain(|upload| upload.withdrawn_at.is_none());
    let used = plugins_used(migration, plugins, &uploads, store)?;
    let approvals = approvals(migration, &used, store)?;
    let definitions = counted_entity_types(plugins, migration)
        .iter()
        .map(|(plugin, entity_type)| CountDefinition::new(entity_type, &groups_of(plugin, entity_type)))
        .collect();
    let mut issues = vec![];
    for phase in Phase::ALL {
        for IssueTotal { stream, severity, code, rule, count } in store.issue_counts(id, phase)? {
            issues.push(IssueEvidence {
                phase: phase.as_str().into(),
                entity_type: stream.to_string(),
                severity: severity.as_str().into(),
                code: code.to_string(),
                rule: rule.map(|rule| rule.to_string()),
                count,
            });
        }
    }
    Ok(Some(EvidenceBundle {
        sluice: "evidence/1".into(),
        migration: id,
        components: migration.components.iter().map(|domain| domain.component.into()).collect(),
        mapper: migration.mapper.as_ref().map(|mapper| mapper.name.to_string()),
        registered_at: migration.registered_at,
        staging_status: migration.status.staging,
        import_status: migration.status.import,
        uploads: uploads.into_iter().map(upload).collect(),
        plugins: used,
        approvals,
        validated_by: store.last_client(id, JobKind::Validate)?,
        imported_by: store.last_client(id, JobKind::Import)?,
        counts,
        removals: store.removal_jobs(id)?.into_iter().map(removal).collect(),
        sources: store.source_outcomes(id)?,
        issues,
        definitions,
        audit: range(trail, AuditScope::Migration(id))?,
        generated_at: Timestamp::now(),
        server_version: env!("CARGO_PKG_VERSION").into(),
    }))
}

fn removal(job: Job) -> RemovalEvidence {
    let result: serde_json::Value =
        job.result.and_then(|result| serde_json::from_str(&result.to_string()).ok()).unwrap_or_default();
    let removed = serde_json::from_value(result["removed"].clone()).unwrap_or_default();
    RemovalEvidence { job: job.id, kind: job.kind.as_str().into(), finished_at: job.finished_at, removed }
}

fn upload(kept: CatalogUpload) -> UploadEvidence {
    let CatalogUpload { number, stream, remap: rerun, mapper, started_at, ended, .. } = kept;
    let (ended_at, end) = ended.unzip();
    let (figures, failure) = match end {
        Some(Ok(end)) => {
            let figures = UploadFigures {
                bytes: end.bytes,
                sha256: end.body,
                records: end.records,
                accepted: end.accepted,
                skipped: end.skipped,
                rejected: end.rejected,
                quarantined: end.quarantined,
                broken_off: end.broken_off,
                lines: end.lines,
            };
            (Some(figures), None)
        }
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    UploadEvidence { number, stream, rerun, started_at, ended_at, failure, mapper, figures }
}

fn plugins_used(
    migration: &Migration,
    plugins: &Plugins,
    uploads: &[CatalogUpload],
    store: &Catalog,
) -> Result<Vec<PluginEvidence>, PipelineError> {
    let domains = migration.components.iter().filter_map(|domain| plugins.domain(domain.component));
    let mut used = vec![];
    for plugin in domains {
        used.push(PluginEvidence {
            world: "domain".into(),
            name: Some(plugin.description.name.to_string()),
            version: Some(plugin.description.version.to_string()),
            digest: plugin.digest,
            pushed_by: store.plugin(plugin.digest, Some(&migration.tenant))?.and_then(|kept| kept.client),
        });
    }
    let mappers: BTreeSet<Digest> = uploads.iter().filter_map(|upload| upload.mapper).collect();
    for digest in mappers {
        let kept = store.plugin(digest, Some(&migration.tenant))?;
        used.push(PluginEvidence {
            world: "mapper".into(),
            name: kept.as_ref().map(|kept| kept.name.to_string()),
            version: kept.as_ref().map(|kept| kept.version.to_string()),
            digest,
            pushed_by: kept.and_then(|kept| kept.client),
        });
    }
    Ok(used)
}

fn approvals(
    migration: &Migration,
    used: &[PluginEvidence],
    store: &Catalog,
) -> Result<Vec<ApprovalEvidence>, PipelineError> {
    let mut approvals = vec![];
    for plugin in used {
        approvals.extend(store.approvals(plugin.digest, Some(&migration.tenant))?.into_iter().map(|approval| {
            let Approval { digest, tenant, client, at, limits, revoked_at, revoked_by } = approval;
            ApprovalEvidence { digest, tenant, by: client, at, limits, revoked_at, revoked_by }
        }));
    }
    Ok(approvals)
}

fn range(trail: &Trail, scope: AuditScope) -> Result<AuditRange, PipelineError> {
    let (last, line) = trail.head(scope)?;
    let broken_head = |why| {
        let broken = sluice_audit::VerificationError { location: sluice_audit::ExportLocation::Head, fault: why };
        PipelineError::Trail(TrailError::Verification { scope, error: broken })
    };
    let (head, _) = Head::read(line.as_bytes(), Some(&trail.signer().public())).map_err(broken_head)?;
    let signature = Head::signature(&line).unwrap_or_default().to_owned();
    Ok(AuditRange { first: last.min(1), last, at: head.at, hash: head.hash, signature })
}
