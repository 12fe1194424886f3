//! Evidence of a migration: what came in, what worked on it, what became of it, and where the audit trail stood.
//!
//! Put together from the catalogue alone, so that it can be had when the records themselves are gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Failure;
use super::counts::{counted, groups_of};
use super::recount::Definition;
use sluice_audit::{Head, Scope};
use sluice_catalog::{IssueCount, KeptUpload, Phase, SourceOutcome, Store, Trail, TrailError};
use sluice_keys::PublicKey;
use sluice_model::{Approval, Digest, ImportStatus, JobState, LimitOverrides, Migration, StagingStatus, Tenant};
use sluice_plugin_host::Plugins;

/// Everything that is signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// What this is: `evidence/1`.
    pub sluice: String,
    /// The migration.
    pub migration: Uuid,
    /// Its domains.
    pub components: Vec<String>,
    /// Its mapper, if it has one.
    pub mapper: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// How its staging stands now.
    pub staging_status: StagingStatus,
    /// How its import stands now.
    pub import_status: ImportStatus,
    /// Every upload.
    pub uploads: Vec<UploadEvidence>,
    /// Every plugin that judged, and every mapper that was used.
    pub plugins: Vec<PluginEvidence>,
    /// Who approved which of them for the migration's tenant, and who revoked that, the oldest first.
    pub approvals: Vec<ApprovalEvidence>,
    /// The last counts job that came to a result.
    pub counts: CountsEvidence,
    /// What became of each source's records, when they were counted.
    pub sources: Vec<SourceOutcome>,
    /// How many issues there are, by phase and code.
    pub issues: Vec<IssueEvidence>,
    /// What the counts are made of, so that they can be made again without the plugins.
    pub definitions: Vec<Definition>,
    /// Where the migration's audit trail stood.
    pub audit: AuditRange,
    /// When this was put together.
    pub generated_at: Timestamp,
    /// By which version of the server.
    pub server_version: String,
}

/// An upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadEvidence {
    number: u32,
    stream: String,
    /// Whether nothing was sent, and records that were staged before were mapped again: the digest is then of these,
    /// a line each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rerun: bool,
    started_at: String,
    /// None where it has not ended, or the server was killed meanwhile.
    ended_at: Option<String>,
    /// Code of what went wrong, where it did not come to its end.
    failure: Option<String>,
    mapper: Option<Digest>,
    #[serde(flatten)]
    figures: Option<UploadFigures>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadFigures {
    bytes: u64,
    /// SHA-256 of the body as it was received.
    sha256: Digest,
    records: u64,
    accepted: u64,
    skipped: BTreeMap<String, u64>,
    rejected: u64,
    quarantined: u64,
    broken_off: bool,
}

/// A plugin. One that this server does not have any more is known by its digest alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginEvidence {
    world: String,
    name: Option<String>,
    version: Option<String>,
    digest: Digest,
}

/// Somebody's word that a plugin may take part in imports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalEvidence {
    digest: Digest,
    /// None: for every tenant.
    tenant: Option<Tenant>,
    /// A client's id, or `server` for what the server was started with.
    by: String,
    at: Timestamp,
    /// Limits in place of the server's own.
    limits: LimitOverrides,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
}

/// A counts job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountsEvidence {
    /// Its id.
    pub job: Uuid,
    /// `succeeded` where both sides agree.
    pub state: JobState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it counted.
    pub rows: Vec<CountRows>,
}

/// One verification count: cells are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountRows {
    /// Such as `TotalEntity`.
    pub r#type: String,
    /// Names of the columns.
    pub headers: Vec<String>,
    /// What was staged.
    pub staged_rows: Vec<Vec<String>>,
    /// What was in the target.
    pub imported_rows: Vec<Vec<String>>,
}

/// Issues of one kind.
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

/// A part of an audit trail, from its first entry on, and the signature of its head there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditRange {
    /// Number of the first entry.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// When the last was made.
    pub at: Timestamp,
    /// Its hash.
    pub hash: Digest,
    /// Signature of the trail's head at this entry.
    pub signature: String,
}

impl AuditRange {
    /// Whether the head's signature is that of this key.
    pub fn is_signed_by(&self, migration: Uuid, key: &PublicKey) -> bool {
        let head = Head { scope: Scope::Migration(migration), entries: self.last, hash: self.hash, at: self.at };
        Head::read(head.line(key, &self.signature).as_bytes(), Some(key)).is_ok()
    }
}

impl Bundle {
    /// Reads a bundle whose signature was verified.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it is signed.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("evidence can be written as JSON")
    }
}

/// Puts the evidence of a migration together; none before it was counted.
pub fn evidence(
    migration: &Migration,
    store: &Store,
    plugins: &Plugins,
    trail: &Trail,
) -> Result<Option<Bundle>, Failure> {
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
    let uploads = store.uploads(id)?;
    let used = plugins_used(migration, plugins, &uploads, store)?;
    let approvals = approvals(migration, &used, store)?;
    let definitions = counted(plugins, migration)
        .iter()
        .map(|(plugin, entity_type)| Definition::new(entity_type, &groups_of(plugin, entity_type)))
        .collect();
    let mut issues = vec![];
    for phase in Phase::ALL {
        for IssueCount { stream, severity, code, rule, count } in store.issue_counts(id, phase)? {
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
    Ok(Some(Bundle {
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
        counts,
        sources: store.outcomes(id)?,
        issues,
        definitions,
        audit: range(trail, Scope::Migration(id))?,
        generated_at: Timestamp::now(),
        server_version: env!("CARGO_PKG_VERSION").into(),
    }))
}

fn upload(kept: KeptUpload) -> UploadEvidence {
    let KeptUpload { number, stream, rerun, mapper, started_at, ended } = kept;
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
    uploads: &[KeptUpload],
    store: &Store,
) -> Result<Vec<PluginEvidence>, Failure> {
    let domains = migration.components.iter().filter_map(|domain| plugins.domain(domain.component));
    let mut used: Vec<PluginEvidence> = domains
        .map(|plugin| PluginEvidence {
            world: "domain".into(),
            name: Some(plugin.description.name.to_string()),
            version: Some(plugin.description.version.to_string()),
            digest: plugin.digest,
        })
        .collect();
    let mappers: BTreeSet<Digest> = uploads.iter().filter_map(|upload| upload.mapper).collect();
    for digest in mappers {
        let kept = store.plugin(digest, Some(&migration.tenant))?;
        used.push(PluginEvidence {
            world: "mapper".into(),
            name: kept.as_ref().map(|kept| kept.name.to_string()),
            version: kept.as_ref().map(|kept| kept.version.to_string()),
            digest,
        });
    }
    Ok(used)
}

fn approvals(migration: &Migration, used: &[PluginEvidence], store: &Store) -> Result<Vec<ApprovalEvidence>, Failure> {
    let mut approvals = vec![];
    for plugin in used {
        approvals.extend(store.approvals(plugin.digest, Some(&migration.tenant))?.into_iter().map(|approval| {
            let Approval { digest, tenant, client, at, limits, revoked_at, revoked_by } = approval;
            ApprovalEvidence { digest, tenant, by: client, at, limits, revoked_at, revoked_by }
        }));
    }
    Ok(approvals)
}

fn range(trail: &Trail, scope: Scope) -> Result<AuditRange, Failure> {
    let (last, line) = trail.head(scope)?;
    let broken = |why| {
        let broken = sluice_audit::Broken { place: sluice_audit::Place::Head, why };
        Failure::Trail(TrailError::Broken { scope, broken })
    };
    let (head, _) = Head::read(line.as_bytes(), Some(&trail.signer().public())).map_err(broken)?;
    let signature = Head::signature(&line).unwrap_or_default().to_owned();
    Ok(AuditRange { first: last.min(1), last, at: head.at, hash: head.hash, signature })
}
