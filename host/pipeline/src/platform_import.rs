//! Import into a platform that is entered through its API: plans carried out as parallel as was agreed, kind by kind.
//!
//! How far it has come stands in the ledger beside the migration: a killed import goes on from there.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use uuid::Uuid;

use super::calls::{Planner, RecordPlan};
use super::{Desk, Failure, Stop};
use crate::ConnectedPlatform;
use sluice_catalog::{ListedIssue, Phase};
use sluice_connector::{EntityState, Key, Ledger, PlatformError, Session};
use sluice_contract::Kind;
use sluice_model::{Digest, Figure, Issue, Name, Progress};

/// Brings everything that is staged into the platform, as far as it is not there; whether nothing was left out, and the
/// figures.
pub fn platform_import(desk: &Desk, platform: &ConnectedPlatform, progress: &Progress) -> Result<(bool, Figure), Stop> {
    let migration = desk.migration.reference_id;
    desk.approved_makers()?;
    desk.store.clear_issues(migration, Phase::Import, desk.config.records.listed_issues)?;
    let ledger = Ledger::open(&desk.area.ledger()?)?;
    let kinds = &platform.plugin.description.kinds;
    let behind = desk.store.is_copied_since(desk.migration.registered_at)?;
    let session = Session { behind, ..Session::new(platform, &ledger, migration, progress) };
    let mut planner = Planner::new(desk, platform, true, progress)?;
    let mut approvals = Approvals { desk, mappers: HashMap::new() };
    for kind in kinds {
        carry_out(kind, &session, &mut planner, &mut approvals, progress)?;
    }
    let mut left_out = planner.left_out;
    let mut by_kind: Vec<(Name, Vec<(Name, Figure)>)> = vec![];
    for (kind, state, count) in ledger.counts()? {
        if matches!(state, EntityState::Failed | EntityState::Waiting | EntityState::Open) {
            left_out += count;
        }
        let entry = (Name::new(state.as_str()), Figure::from(count));
        match by_kind.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, states)) => states.push(entry),
            None => by_kind.push((kind, vec![entry])),
        }
    }
    list_failed(desk, &ledger, kinds)?;
    let result = Figure::table([
        ("calls", Figure::from(session.tally.sent.load(Relaxed))),
        ("questions", session.tally.asked.load(Relaxed).into()),
        ("leftOut", left_out.into()),
        ("byKind", Figure::table(by_kind.into_iter().map(|(kind, states)| (kind, Figure::Table(states))))),
    ]);
    Ok((left_out == 0, result))
}

/// Who has made what is sent is asked for again with each batch, so that a revoked approval counts at the next.
struct Approvals<'a> {
    desk: &'a Desk,
    mappers: HashMap<u32, Option<Digest>>,
}

impl Approvals<'_> {
    fn check(&mut self, plans: &[RecordPlan]) -> Result<(), Failure> {
        for plan in plans {
            if !self.mappers.contains_key(&plan.upload) {
                let mapper = self.desk.store.upload_mapper(self.desk.migration.reference_id, plan.upload)?;
                self.mappers.insert(plan.upload, mapper);
            }
        }
        let digests: Vec<Digest> = self.mappers.values().flatten().copied().collect();
        self.desk.all_approved(&digests)
    }
}

/// Carries out the plans of a kind, by as many workers as calls may be made at the same time.
fn carry_out(
    kind: &Kind,
    session: &Session,
    planner: &mut Planner,
    approvals: &mut Approvals,
    progress: &Progress,
) -> Result<(), Stop> {
    let workers = session.platform.config.parallel_calls;
    let (send, receive) = sync_channel::<RecordPlan>(workers);
    let (receive, stopped) = (Mutex::new(receive), Mutex::new(None));
    let planned = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(kind, session, &receive, &stopped, progress));
        }
        let planned = planner.plan(kind, progress, &mut |plans| {
            approvals.check(&plans)?;
            for plan in plans {
                // Nobody takes it where all have stopped: why stands in `stopped`.
                if has_stopped(&stopped) || send.send(plan).is_err() {
                    return Err(Stop::Cancelled);
                }
            }
            Ok(())
        });
        drop(send);
        planned
    });
    match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(PlatformError::Cancelled) => Err(Stop::Cancelled),
        Some(error) => Err(error.into()),
        None => planned,
    }
}

fn has_stopped(stopped: &Mutex<Option<PlatformError>>) -> bool {
    stopped.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

fn work(
    kind: &Kind,
    session: &Session,
    plans: &Mutex<Receiver<RecordPlan>>,
    stopped: &Mutex<Option<PlatformError>>,
    progress: &Progress,
) {
    loop {
        let next = plans.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(RecordPlan { id, plan, .. }) = next else { return };
        if has_stopped(stopped) {
            // What is planned already is taken and left: it is planned again next time.
            continue;
        }
        let key = Key { kind: &kind.name, id };
        let worked = session.ledger.entity(key).and_then(|state| match state {
            Some(EntityState::Failed | EntityState::Abandoned | EntityState::Undone) => Ok(()),
            _ => session.carry_out(key, &plan.calls),
        });
        match worked {
            Ok(()) => progress.advance(1),
            Err(error) => {
                stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }
}

/// Lists what failed among the issues of the import.
fn list_failed(desk: &Desk, ledger: &Ledger, kinds: &[Kind]) -> Result<(), Failure> {
    let most = desk.config.records.listed_issues;
    let (failed, _) = ledger.lines(Some(EntityState::Failed), 0, most)?;
    let issues = failed.into_iter().filter_map(|line| {
        let kind = kinds.iter().find(|kind| kind.name == line.kind)?;
        Some(ListedIssue {
            stream: kind.entity_type.clone(),
            line: None,
            reference_id: Some(Uuid::from_bytes(line.id)),
            issue: Issue { rule: line.code, ..Issue::error("CALL_REFUSED") },
        })
    });
    let issues: Vec<ListedIssue> = issues.collect();
    Ok(desk.store.add_issues(desk.migration.reference_id, Phase::Import, &issues, most)?)
}
