//! Verification on the platform: compares what the plans expect with what the platform's own lists contain.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use rust_decimal::Decimal;

use super::call_planner::CallPlanner;
use crate::ConnectedPlatform;
use crate::reporting::VerificationCount;
use crate::reporting::counts::{OTHER, outcomes};
use crate::{Interrupt, MigrationContext, PipelineError, count_sources};
use sluice_connector::{Ledger, Session, text_at};
use sluice_contract::PlatformQuery;
use sluice_framing::scalar_text;
use sluice_model::{Cell, Name, Progress};
use sluice_staging::hash;
use sluice_target::{RecordPath, decimal, visit};

/// Group of all items, if a query has no groups.
const UNGROUPED: Name = Name::new("");

/// An expected item.
struct ExpectedItem {
    group: Name,
    amounts: Vec<Decimal>,
}

/// Expected items by the hash of their id, which takes 16 bytes for ids of any length.
type Items = HashMap<[u8; 16], ExpectedItem>;

/// Number of items in a group, and their sums.
#[derive(Default)]
struct GroupFigures {
    count: u64,
    sums: Vec<Decimal>,
}

type PlatformGroups = BTreeMap<Name, GroupFigures>;

fn add(side: &mut PlatformGroups, group: &Name, amounts: &[Decimal]) {
    let figures = side.entry(group.clone()).or_default();
    figures.count += 1;
    figures.sums.resize(amounts.len(), Decimal::ZERO);
    figures.sums.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
}

/// Counts the expected items and the items on the platform. Returns true if they agree item by item.
pub fn platform_count(
    context: &MigrationContext,
    platform: &ConnectedPlatform,
    progress: &Progress,
) -> Result<(bool, Vec<VerificationCount>), Interrupt> {
    let described = &platform.plugin.description;
    let mut expected: Vec<Items> = described.queries.iter().map(|_| Items::new()).collect();
    let mut planner = CallPlanner::new(context, platform, false, progress)?;
    for kind in &described.kinds {
        planner.plan(kind, progress, &mut |plans| {
            progress.advance(plans.len() as u64);
            for expectation in plans.into_iter().flat_map(|record| record.plan.expectations) {
                let group = expectation.group.unwrap_or(UNGROUPED);
                expected[expectation.query]
                    .insert(hash(&[expectation.id.as_bytes()]), ExpectedItem { group, amounts: expectation.amounts });
            }
            Ok(())
        })?;
    }
    let ledger = Ledger::open(&context.area.ledger()?)?;
    let session = Session::new(platform, &ledger, context.migration.reference_id, progress);
    let (mut agree, mut counts) = (planner.skipped == 0, vec![]);
    for (query, items) in described.queries.iter().zip(expected) {
        let (same, count) = run_query(query, items, &session)?;
        agree &= same;
        counts.push(count);
    }
    context.store.put_source_outcomes(context.migration.reference_id, &outcomes(count_sources(context)?))?;
    Ok((agree, counts))
}

/// Runs one query. Returns true if the platform has each expected item once and unchanged, and the figures of both
/// sides.
fn run_query(
    query: &PlatformQuery,
    mut items: Items,
    session: &Session,
) -> Result<(bool, VerificationCount), PipelineError> {
    let (mut staged, mut on_platform) = (PlatformGroups::new(), PlatformGroups::new());
    items.values().for_each(|expected| add(&mut staged, &expected.group, &expected.amounts));
    let (mut same, mut seen) = (true, HashSet::<[u8; 16]>::new());
    session.pages(query.method, &query.path, &query.body, &mut |item| {
        let Some(id) = text_at(item, &query.id).map(|id| hash(&[id.as_bytes()])) else { return true };
        let seen_before = seen.contains(&id);
        let Some(expected) = items.remove(&id) else {
            // Items of other migrations or of other users do not count. An expected item that exists seen_before does.
            if seen_before {
                let (group, amounts) = item_figures(query, item);
                add(&mut on_platform, &group, &amounts);
                same = false;
            }
            return true;
        };
        seen.insert(id);
        let (group, amounts) = item_figures(query, item);
        same &= group == expected.group && amounts == expected.amounts;
        add(&mut on_platform, &group, &amounts);
        true
    })?;
    same &= items.is_empty();
    let headers =
        [Name::new("group"), Name::new("count")].into_iter().chain(query.amounts.iter().map(|(sum, _)| sum.clone()));
    let rows = |side: PlatformGroups| {
        let row = |(group, figures): (Name, GroupFigures)| {
            let sums = figures.sums.into_iter().map(Cell::from);
            [Cell::from(&group), Cell::from(figures.count)].into_iter().chain(sums).collect()
        };
        side.into_iter().map(row).collect()
    };
    let count = VerificationCount {
        name: query.name.clone(),
        headers: headers.collect(),
        staged_rows: rows(staged),
        imported_rows: rows(on_platform),
    };
    Ok((same, count))
}

/// Returns the group and the amounts of an item on the platform.
fn item_figures(query: &PlatformQuery, item: &str) -> (Name, Vec<Decimal>) {
    let group = if query.group.is_empty() {
        UNGROUPED
    } else {
        let value = text_at(item, &query.group).unwrap_or_default();
        query.groups.iter().find(|(known, _)| *known == value).map_or(OTHER, |(_, name)| name.clone())
    };
    let amount = |(_, field): &(Name, String)| {
        let mut amount = None;
        visit(item, &RecordPath::new(field), &mut |raw| amount = scalar_text(raw).and_then(|digits| decimal(&digits)));
        amount.unwrap_or_default()
    };
    (group, query.amounts.iter().map(amount).collect())
}
