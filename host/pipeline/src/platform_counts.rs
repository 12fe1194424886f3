//! Verification by asking the platform: what the plans expect there, against what its own lists say.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use rust_decimal::Decimal;

use super::calls::Planner;
use super::counts::{OTHER, outcomes};
use super::{Count, Desk, Failure, Stop, count_sources};
use crate::ConnectedPlatform;
use sluice_connector::{Ledger, Session, text_at};
use sluice_contract::Query;
use sluice_framing::scalar_text;
use sluice_model::{Cell, Name, Progress};
use sluice_staging::hash;
use sluice_target::{Path, decimal, visit};

/// Where a query does not tell groups apart.
const ALL: Name = Name::new("");

/// What is expected of one item.
struct Expected {
    group: Name,
    amounts: Vec<Decimal>,
}

/// Items by a hash of the id that they are known by: 16 bytes, however long ids are.
type Items = HashMap<[u8; 16], Expected>;

/// How many there are of a group, and their sums.
#[derive(Default)]
struct Figures {
    count: u64,
    sums: Vec<Decimal>,
}

type Side = BTreeMap<Name, Figures>;

fn add(side: &mut Side, group: &Name, amounts: &[Decimal]) {
    let figures = side.entry(group.clone()).or_default();
    figures.count += 1;
    figures.sums.resize(amounts.len(), Decimal::ZERO);
    figures.sums.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
}

/// Counts what is expected, and what the platform says that it has; whether they agree, item by item.
pub fn platform_count(
    desk: &Desk,
    platform: &ConnectedPlatform,
    progress: &Progress,
) -> Result<(bool, Vec<Count>), Stop> {
    let described = &platform.plugin.description;
    let mut expected: Vec<Items> = described.queries.iter().map(|_| Items::new()).collect();
    let mut planner = Planner::new(desk, platform, false, progress)?;
    for kind in &described.kinds {
        planner.plan(kind, progress, &mut |plans| {
            progress.advance(plans.len() as u64);
            for expectation in plans.into_iter().flat_map(|record| record.plan.expectations) {
                let group = expectation.group.unwrap_or(ALL);
                expected[expectation.query]
                    .insert(hash(&[expectation.id.as_bytes()]), Expected { group, amounts: expectation.amounts });
            }
            Ok(())
        })?;
    }
    let ledger = Ledger::open(&desk.area.ledger()?)?;
    let session = Session::new(platform, &ledger, desk.migration.reference_id, progress);
    let (mut agree, mut counts) = (planner.left_out == 0, vec![]);
    for (query, items) in described.queries.iter().zip(expected) {
        let (same, count) = ask(query, items, &session)?;
        agree &= same;
        counts.push(count);
    }
    desk.store.put_outcomes(desk.migration.reference_id, &outcomes(count_sources(desk)?))?;
    Ok((agree, counts))
}

/// Asks one query; whether each item that is expected is there once, just so, and the figures of both sides.
fn ask(query: &Query, mut items: Items, session: &Session) -> Result<(bool, Count), Failure> {
    let (mut staged, mut there) = (Side::new(), Side::new());
    items.values().for_each(|expected| add(&mut staged, &expected.group, &expected.amounts));
    let (mut same, mut seen) = (true, HashSet::<[u8; 16]>::new());
    session.pages(query.method, &query.path, &query.body, &mut |item| {
        let Some(id) = text_at(item, &query.id).map(|id| hash(&[id.as_bytes()])) else { return true };
        let twice = seen.contains(&id);
        let Some(expected) = items.remove(&id) else {
            // What other migrations and people have brought is not ours to count; what we have brought twice is.
            if twice {
                let (group, amounts) = found(query, item);
                add(&mut there, &group, &amounts);
                same = false;
            }
            return true;
        };
        seen.insert(id);
        let (group, amounts) = found(query, item);
        same &= group == expected.group && amounts == expected.amounts;
        add(&mut there, &group, &amounts);
        true
    })?;
    same &= items.is_empty();
    let headers =
        [Name::new("group"), Name::new("count")].into_iter().chain(query.amounts.iter().map(|(sum, _)| sum.clone()));
    let rows = |side: Side| {
        let row = |(group, figures): (Name, Figures)| {
            let sums = figures.sums.into_iter().map(Cell::from);
            [Cell::from(&group), Cell::from(figures.count)].into_iter().chain(sums).collect()
        };
        side.into_iter().map(row).collect()
    };
    let count = Count {
        name: query.name.clone(),
        headers: headers.collect(),
        staged_rows: rows(staged),
        imported_rows: rows(there),
    };
    Ok((same, count))
}

/// The group and the amounts of an item, as the platform has it.
fn found(query: &Query, item: &str) -> (Name, Vec<Decimal>) {
    let group = if query.group.is_empty() {
        ALL
    } else {
        let value = text_at(item, &query.group).unwrap_or_default();
        query.groups.iter().find(|(known, _)| *known == value).map_or(OTHER, |(_, name)| name.clone())
    };
    let amount = |(_, field): &(Name, String)| {
        let mut amount = None;
        visit(item, &Path::new(field), &mut |raw| amount = scalar_text(raw).and_then(|digits| decimal(&digits)));
        amount.unwrap_or_default()
    };
    (group, query.amounts.iter().map(amount).collect())
}
