//! Rollback of an import into a platform, last call first, or a preview of it.

use std::collections::BTreeMap;

use super::call_planner::CallPlanner;
use crate::ConnectedPlatform;
use crate::{Interrupt, MigrationContext};
use sluice_connector::{EntityState, Ledger, LedgerKey, Session};
use sluice_contract::PlannedCall;
use sluice_model::{Name, Progress, SafeValue};

/// Options of an undo job.
#[derive(Clone, Copy, Debug)]
pub struct UndoOptions {
    /// True to count the calls without sending them.
    pub preview: bool,
    /// True to roll back only records that a client has abandoned.
    pub abandoned: bool,
}

/// Rolls an import back. Returns true if all of it was rolled back, and the number of calls by step.
pub fn platform_undo(
    context: &MigrationContext,
    platform: &ConnectedPlatform,
    options: UndoOptions,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    let ledger = Ledger::open(&context.area.ledger()?)?;
    let session = Session::new(platform, &ledger, context.migration.reference_id, progress);
    let kinds = &platform.plugin.description.kinds;
    let mut planner = CallPlanner::new(context, platform, false, progress)?;
    let (mut steps, mut kept) = (BTreeMap::<Name, u64>::new(), BTreeMap::<Name, u64>::new());
    let (mut refused, mut seen, all) = (0, 0, ledger.not_undone()?);
    // Records that others refer to come last.
    for kind in kinds.iter().rev() {
        planner.plan(kind, progress, &mut |plans| {
            for record in plans {
                let key = LedgerKey { kind: &kind.name, id: record.id };
                let state = ledger.entity(key)?;
                progress.advance(1);
                seen += u64::from(!matches!(state, None | Some(EntityState::Undone)));
                if matches!(state, None | Some(EntityState::Undone))
                    || (options.abandoned && state != Some(EntityState::Abandoned))
                {
                    continue;
                }
                if options.preview {
                    for call in record.plan.calls.iter().filter(|call| call.undo.is_some()) {
                        if ledger.call(key, &call.id)?.is_some_and(|known| known.state.may_have_happened()) {
                            *steps.entry(call.step.clone()).or_default() += 1;
                        }
                    }
                } else if session.rollback(key, &record.plan.calls, &mut |call: &PlannedCall, undone| {
                    *if undone { &mut steps } else { &mut kept }.entry(call.step.clone()).or_default() += 1;
                })? {
                    ledger.set_entity(key, EntityState::Undone, None)?;
                } else {
                    refused += 1;
                }
            }
            Ok(())
        })?;
    }
    // Without its staged record, a plan is not known, and its calls stay.
    let unplanned = all.saturating_sub(seen);
    let left = refused + unplanned;
    let result = SafeValue::table([
        ("preview", SafeValue::from(options.preview)),
        (if options.preview { "wouldUndo" } else { "undone" }, SafeValue::table(steps)),
        ("refused", SafeValue::table(kept)),
        ("left", SafeValue::from(left)),
        ("withoutStagedRecord", unplanned.into()),
    ]);
    Ok((left == 0, result))
}
