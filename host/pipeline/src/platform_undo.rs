//! Takes back what an import into a platform has made, last first: as a preview, or in earnest.

use std::collections::BTreeMap;

use super::calls::Planner;
use super::{Desk, Stop};
use crate::ConnectedPlatform;
use sluice_connector::{EntityState, Key, Ledger, Session};
use sluice_contract::PlannedCall;
use sluice_model::{Figure, Name, Progress};

/// What is to be taken back.
#[derive(Clone, Copy, Debug)]
pub struct Undo {
    /// Only count what would be taken back.
    pub preview: bool,
    /// Only what belongs to records that somebody has abandoned.
    pub abandoned: bool,
}

/// Takes back what was made; whether all of it, and how many calls of which steps.
pub fn platform_undo(
    desk: &Desk,
    platform: &ConnectedPlatform,
    asked: Undo,
    progress: &Progress,
) -> Result<(bool, Figure), Stop> {
    let ledger = Ledger::open(&desk.area.ledger()?)?;
    let session = Session::new(platform, &ledger, desk.migration.reference_id, progress);
    let kinds = &platform.plugin.description.kinds;
    let mut planner = Planner::new(desk, platform, false, progress)?;
    let (mut steps, mut left, mut kept) = (BTreeMap::<Name, u64>::new(), 0, BTreeMap::<Name, u64>::new());
    // What others hang on goes last.
    for kind in kinds.iter().rev() {
        planner.plan(kind, progress, &mut |plans| {
            for record in plans {
                let key = Key { kind: &kind.name, id: record.id };
                let state = ledger.entity(key)?;
                progress.advance(1);
                if matches!(state, None | Some(EntityState::Undone))
                    || (asked.abandoned && state != Some(EntityState::Abandoned))
                {
                    continue;
                }
                if asked.preview {
                    for call in record.plan.calls.iter().filter(|call| call.undo.is_some()) {
                        if ledger.call(key, &call.id)?.is_some_and(|known| known.state.may_have_happened()) {
                            *steps.entry(call.step.clone()).or_default() += 1;
                        }
                    }
                } else if session.take_back(key, &record.plan.calls, &mut |call: &PlannedCall, undone| {
                    *if undone { &mut steps } else { &mut kept }.entry(call.step.clone()).or_default() += 1;
                })? {
                    ledger.set_entity(key, EntityState::Undone, None)?;
                } else {
                    left += 1;
                }
            }
            Ok(())
        })?;
    }
    let result = Figure::table([
        ("preview", Figure::from(asked.preview)),
        (if asked.preview { "wouldUndo" } else { "undone" }, Figure::table(steps)),
        ("refused", Figure::table(kept)),
        ("left", Figure::from(left as u64)),
    ]);
    Ok((left == 0, result))
}
