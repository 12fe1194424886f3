//! Import into a platform with an API of its own. Plans are executed kind by kind, by as many workers as parallel calls
//! are allowed.
//!
//! The ledger beside the migration has the state of every plan, so an import that was killed continues from there.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use uuid::Uuid;

use super::call_planner::{CallPlanner, RecordPlan};
use crate::ConnectedPlatform;
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::{ListedIssue, Phase};
use sluice_connector::{EntityState, Ledger, LedgerKey, PlatformError, Session};
use sluice_contract::PlatformKind;
use sluice_model::{Digest, Issue, Name, Progress, SafeValue};

/// Imports all staged records that are not on the platform yet. Returns true if no record was skipped, and the figures.
pub fn platform_import(
    context: &MigrationContext,
    platform: &ConnectedPlatform,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    let migration = context.migration.reference_id;
    context.check_mappers_approved()?;
    context.store.clear_issues(migration, Phase::Import, context.config.records.listed_issues)?;
    let ledger = Ledger::open(&context.area.ledger()?)?;
    let kinds = &platform.plugin.description.kinds;
    let behind = context.store.has_restore_point_since(context.migration.registered_at)?;
    let session = Session { behind, ..Session::new(platform, &ledger, migration, progress) };
    let mut planner = CallPlanner::new(context, platform, true, progress)?;
    let mut approvals = Approvals { context, mappers: HashMap::new() };
    for kind in kinds {
        execute(kind, &session, &mut planner, &mut approvals, progress)?;
    }
    let mut skipped = planner.skipped;
    let mut by_kind: Vec<(Name, Vec<(Name, SafeValue)>)> = vec![];
    for (kind, state, count) in ledger.counts()? {
        if matches!(state, EntityState::Failed | EntityState::Waiting | EntityState::Open) {
            skipped += count;
        }
        let entry = (Name::new(state.as_str()), SafeValue::from(count));
        match by_kind.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, states)) => states.push(entry),
            None => by_kind.push((kind, vec![entry])),
        }
    }
    list_failed(context, &ledger, kinds)?;
    let result = SafeValue::table([
        ("calls", SafeValue::from(session.counters.sent.load(Relaxed))),
        ("questions", session.counters.queries.load(Relaxed).into()),
        ("leftOut", skipped.into()),
        ("byKind", SafeValue::table(by_kind.into_iter().map(|(kind, states)| (kind, SafeValue::Table(states))))),
    ]);
    Ok((skipped == 0, result))
}

/// Approvals of the mappers whose records are sent. Each batch checks them again, so that a revoked approval takes
/// effect at the next batch.
struct Approvals<'a> {
    context: &'a MigrationContext,
    mappers: HashMap<u32, Option<Digest>>,
}

impl Approvals<'_> {
    fn check(&mut self, plans: &[RecordPlan]) -> Result<(), PipelineError> {
        for plan in plans {
            if !self.mappers.contains_key(&plan.upload) {
                let mapper = self.context.store.upload_mapper(self.context.migration.reference_id, plan.upload)?;
                self.mappers.insert(plan.upload, mapper);
            }
        }
        let digests: Vec<Digest> = self.mappers.values().flatten().copied().collect();
        self.context.check_approved(&digests)
    }
}

/// Executes the plans of a kind, by as many workers as calls may be made at the same time.
fn execute(
    kind: &PlatformKind,
    session: &Session,
    planner: &mut CallPlanner,
    approvals: &mut Approvals,
    progress: &Progress,
) -> Result<(), Interrupt> {
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
                // The send fails if all workers have stopped. The reason is in `stopped`.
                if has_stopped(&stopped) || send.send(plan).is_err() {
                    return Err(Interrupt::Cancelled);
                }
            }
            Ok(())
        });
        drop(send);
        planned
    });
    match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(PlatformError::Cancelled) => Err(Interrupt::Cancelled),
        Some(error) => Err(error.into()),
        None => planned,
    }
}

fn has_stopped(stopped: &Mutex<Option<PlatformError>>) -> bool {
    stopped.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

fn work(
    kind: &PlatformKind,
    session: &Session,
    plans: &Mutex<Receiver<RecordPlan>>,
    stopped: &Mutex<Option<PlatformError>>,
    progress: &Progress,
) {
    loop {
        let next = plans.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(RecordPlan { id, plan, .. }) = next else { return };
        if has_stopped(stopped) {
            // Plans that are already in the channel are discarded. The next import plans them again.
            continue;
        }
        let key = LedgerKey { kind: &kind.name, id };
        let worked = session.ledger.entity(key).and_then(|state| match state {
            Some(EntityState::Failed | EntityState::Abandoned | EntityState::Undone) => Ok(()),
            _ => session.execute(key, &plan.calls),
        });
        match worked {
            Ok(()) => progress.advance(1),
            Err(error) => {
                stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }
}

/// Lists the records whose plan failed or waits among the issues of the import.
fn list_failed(context: &MigrationContext, ledger: &Ledger, kinds: &[PlatformKind]) -> Result<(), PipelineError> {
    let most = context.config.records.listed_issues;
    for (state, code) in [(EntityState::Failed, "CALL_REFUSED"), (EntityState::Waiting, "CALL_WAITS")] {
        let (lines, _) = ledger.lines(Some(state), 0, most)?;
        let issues = lines.into_iter().filter_map(|line| {
            let kind = kinds.iter().find(|kind| kind.name == line.kind)?;
            Some(ListedIssue {
                stream: kind.entity_type.clone(),
                line: None,
                upload: None,
                reference_id: Some(Uuid::from_bytes(line.id)),
                issue: Issue { rule: line.code, ..Issue::error(code) },
            })
        });
        let issues: Vec<ListedIssue> = issues.collect();
        context.store.add_issues(context.migration.reference_id, Phase::Import, &issues, most)?;
    }
    Ok(())
}
