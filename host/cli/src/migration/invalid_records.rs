//! What validation finds wrong: read from the server, and deleted there if that is wished.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use sluice_model::Severity;
use uuid::Uuid;

use crate::migration::report::{Deleted, IssueGroup, Report, Validation};
use crate::migration::steps::{MIGRATIONS, Plan};
use crate::view::counted;
use sluice_client::Form;
use sluice_client::upload;

/// Issues on a page: as many as the API gives.
const PAGE: usize = 100;

/// Reference ids in a piece of a body: some tens of kilobytes.
const IDS_PER_CHUNK: usize = 1_000;

/// First segment of the path of each entity type.
const PATHS: &[(&str, &str)] = &[
    ("counterparties", "counterparty-management"),
    ("collaterals", "collateral-management"),
    ("collateral-objects", "collateral-management"),
    ("agreements", "financing-solution"),
    ("disbursements", "financing-execution"),
    ("repayments", "financing-execution"),
    ("additional-repayments", "financing-execution"),
    ("debit-mandates", "financing-execution"),
    ("payment-administrations", "administrate"),
];

/// First segment of the path of this entity type.
pub fn path_of(entity_type: &str) -> Option<&'static str> {
    PATHS.iter().find(|(name, _)| *name == entity_type).map(|(_, path)| *path)
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Issue>,
    total: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issue {
    entity_type: String,
    reference_id: Option<Uuid>,
    severity: String,
    field: String,
    rule: Option<String>,
}

/// The errors of a validation by kind, with the first records of each.
pub async fn read(plan: &Plan, report: &Report, validation: &Validation) -> Result<Vec<IssueGroup>> {
    let mut groups = vec![];
    for found in validation.issues_by_code.iter().filter(|found| found.severity == Severity::Error.as_str()) {
        let filter = format!("&entityType={}&code={}", found.entity_type, found.code);
        let page = page(plan, report, &filter, 0).await?;
        let ours = || page.items.iter().filter(|issue| issue.rule == found.rule && issue.severity == found.severity);
        groups.push(IssueGroup {
            entity_type: found.entity_type.clone(),
            code: found.code.clone(),
            rule: found.rule.clone(),
            count: found.count,
            fields: ours().map(|issue| issue.field.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
            reference_ids: ours().filter_map(|issue| issue.reference_id).collect(),
        });
    }
    Ok(groups)
}

/// Deletes the staged records that the last validation finds an error in; how many that were.
pub async fn delete(plan: &Plan, report: &mut Report) -> Result<u64> {
    let start = std::time::Instant::now();
    // All are read before the first is deleted: deleting voids the validation. The server lists a bounded
    // number, so what is held here is bounded too.
    let mut wrong: BTreeMap<String, BTreeSet<Uuid>> = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = page(plan, report, "", offset).await?;
        offset += page.items.len();
        let last = page.items.is_empty() || offset >= page.total;
        for issue in page.items.into_iter().filter(|issue| issue.severity == Severity::Error.as_str()) {
            wrong.entry(issue.entity_type).or_default().extend(issue.reference_id);
        }
        if last {
            break;
        }
    }
    let mut deleted = 0;
    for (entity_type, ids) in wrong.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let count = delete_some(plan, report, &entity_type, ids).await?;
        deleted += count;
        plan.view.line(&format!(
            "{:20} {:>19}: {entity_type} that validation names",
            "Deleted",
            counted(count, "record")
        ));
        match report.deleted.iter_mut().find(|deleted| deleted.entity_type == entity_type) {
            Some(deleted) => deleted.count += count,
            None => report.deleted.push(Deleted { entity_type, count }),
        }
    }
    report.took("delete", start.elapsed(), deleted);
    Ok(deleted)
}

async fn delete_some(plan: &Plan, report: &Report, entity_type: &str, ids: BTreeSet<Uuid>) -> Result<u64> {
    let id = report.reference_id.context("a migration is registered first")?;
    let domain = path_of(entity_type).with_context(|| format!("no domain is known for {entity_type}"))?;
    let path = format!("/{domain}/migrations/{id}/staging/{entity_type}/delete");
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let chunks: Vec<Vec<u8>> = ids
        .chunks(IDS_PER_CHUNK)
        .map(|ids| ids.iter().map(|id| format!("\"{id}\"\n")).collect::<String>().into_bytes())
        .collect();
    let bar = plan.view.bar(&format!("Deleting {entity_type}"), Some(ids.len() as u64));
    let tally = upload(&plan.client, &path, &Form::lines(), Box::new(chunks.into_iter().map(Ok)), |_, done| {
        bar.set_position(done)
    })
    .await;
    bar.finish_and_clear();
    Ok(tally.with_context(|| format!("deleting {entity_type}"))?.of("done"))
}

async fn page(plan: &Plan, report: &Report, filter: &str, offset: usize) -> Result<Page> {
    let id = report.reference_id.context("a migration is registered first")?;
    let path = format!("{MIGRATIONS}/{id}/issues?phase=validate&limit={PAGE}&offset={offset}{filter}");
    plan.client.get(&path).await.context("reading what validation found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_domains() {
        assert!(PATHS.iter().all(|(_, path)| sluice_model::Domain::by_path(path).is_some()));
    }
}
