//! Records with validation errors: reading them from the server, and deleting them there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use sluice_client::{IssueView, PageView, UploadFormat, ValidationView};
use sluice_model::Severity;
use uuid::Uuid;

use crate::format::counted;
use crate::migration::entity_path::domain_path;
use crate::migration::run::report::{DeletionCount, IssueGroup, MigrationReport};
use crate::migration::run::steps::MigrationOptions;

/// Number of issues on a page: the maximum of the API.
const PAGE_SIZE: &str = "100";

/// Number of reference ids in a chunk of a body. A chunk has some tens of kilobytes.
const IDS_PER_CHUNK: usize = 1_000;

/// Reads the errors of a validation by kind, with the first records of each kind.
pub async fn read(
    options: &MigrationOptions,
    report: &MigrationReport,
    validation: &ValidationView,
) -> Result<Vec<IssueGroup>> {
    let mut groups = vec![];
    for kind in validation.issues_by_code.iter().filter(|kind| kind.severity == Severity::Error.as_str()) {
        let page = page(options, report, 0, &[("entityType", &kind.entity_type), ("code", &kind.code)]).await?;
        let of_kind = || page.items.iter().filter(|issue| issue.rule == kind.rule && issue.severity == kind.severity);
        groups.push(IssueGroup {
            entity_type: kind.entity_type.clone(),
            code: kind.code.clone(),
            rule: kind.rule.clone(),
            count: kind.count,
            fields: of_kind().map(|issue| issue.field.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
            reference_ids: of_kind().filter_map(|issue| issue.reference_id).collect(),
        });
    }
    Ok(groups)
}

/// Deletes the staged records with errors of the last validation and returns their number.
pub async fn delete(options: &MigrationOptions, report: &mut MigrationReport) -> Result<u64> {
    let start = std::time::Instant::now();
    // All issues are read before the first deletion, because a deletion invalidates the validation. The server lists a
    // bounded number of issues, so the memory for them is bounded too.
    let mut invalid: BTreeMap<String, BTreeSet<Uuid>> = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = page(options, report, offset, &[]).await?;
        offset += page.items.len();
        let last = page.items.is_empty() || offset as u64 >= page.total;
        for issue in page.items.into_iter().filter(|issue| issue.severity == Severity::Error.as_str()) {
            invalid.entry(issue.entity_type).or_default().extend(issue.reference_id);
        }
        if last {
            break;
        }
    }
    let mut deleted = 0;
    for (entity_type, ids) in invalid.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let count = delete_records(options, report, &entity_type, ids).await?;
        deleted += count;
        options.progress.line(&format!(
            "{:20} {:>19}: {entity_type} with validation errors",
            "Deleted",
            counted(count, "record")
        ));
        match report.deleted.iter_mut().find(|deleted| deleted.entity_type == entity_type) {
            Some(deleted) => deleted.count += count,
            None => report.deleted.push(DeletionCount { entity_type, count }),
        }
    }
    report.add_step("delete", start.elapsed(), deleted);
    Ok(deleted)
}

async fn delete_records(
    options: &MigrationOptions,
    report: &MigrationReport,
    entity_type: &str,
    ids: BTreeSet<Uuid>,
) -> Result<u64> {
    let id = report.reference_id.context("a migration is registered first")?;
    let domain = domain_path(entity_type).with_context(|| format!("no domain is known for {entity_type}"))?;
    let path = format!("/{domain}/migrations/{id}/staging/{entity_type}/delete");
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let chunks: Vec<Vec<u8>> = ids
        .chunks(IDS_PER_CHUNK)
        .map(|ids| ids.iter().map(|id| format!("\"{id}\"\n")).collect::<String>().into_bytes())
        .collect();
    let bar = options.progress.bar(&format!("Deleting {entity_type}"), Some(ids.len() as u64));
    let chunks = Box::new(chunks.into_iter().map(Ok));
    let tally =
        options.client.upload(&path, &UploadFormat::json_lines(), chunks, |_, done| bar.set_position(done)).await;
    bar.finish_and_clear();
    Ok(tally.with_context(|| format!("deleting {entity_type}"))?.count("done"))
}

/// Reads a page of the last validation's issues.
async fn page(
    options: &MigrationOptions,
    report: &MigrationReport,
    offset: usize,
    filter: &[(&str, &str)],
) -> Result<PageView<IssueView>> {
    let id = report.reference_id.context("a migration is registered first")?;
    let offset = offset.to_string();
    let query = [&[("phase", "validate"), ("limit", PAGE_SIZE), ("offset", &*offset)][..], filter].concat();
    options.client.issues(id, &query).await.context("reading the validation's issues")
}
