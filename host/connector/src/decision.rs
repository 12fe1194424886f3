//! Decisions of clients about records' plans, and the reasons for which a plan needs one.

use rusqlite::{Connection, OptionalExtension, params};

use super::PlatformError;
use super::ledger::{LINE, Ledger, LedgerKey, line, now, put_entity};
use super::state::{EntityState, LedgerDecision, LedgerLine};
use sluice_model::{Code, Name};

/// Code of a plan that cannot go on, because a call needs the answer of a call that was skipped.
pub(super) const NEEDS_A_SKIPPED_CALL: &str = "NEEDS_A_SKIPPED_CALL";

impl Ledger {
    /// Saves that a call cannot be sent, because it needs the answer of a call that was skipped.
    pub fn record_unsendable(
        &self,
        key: LedgerKey,
        (call, ordinal, step): (&str, usize, &Name),
        request: [u8; 16],
        code: &Code,
    ) -> Result<(), PlatformError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction
            .prepare_cached(
                "INSERT INTO calls (entity, call, ordinal, step, state, request, attempts, sent_at)
                 SELECT number, ?3, ?4, ?5, 'failed', ?6, 0, ?7 FROM entities WHERE kind = ?1 AND id = ?2
                 ON CONFLICT DO UPDATE SET state = 'failed', request = excluded.request",
            )?
            .execute(params![key.kind, key.id, call, ordinal, &**step, request, now()])?;
        put_entity(&transaction, key, EntityState::Failed, Some((step, code, 0)))?;
        Ok(transaction.commit()?)
    }

    /// Saves the request that a call would have now, although it was made with another one.
    pub fn record_change(
        &self,
        LedgerKey { kind, id }: LedgerKey,
        call: &str,
        request: [u8; 16],
    ) -> Result<(), PlatformError> {
        self.lock()
            .prepare_cached(
                "INSERT INTO changed_calls (entity, call, request)
                 SELECT number, ?3, ?4 FROM entities WHERE kind = ?1 AND id = ?2
                 ON CONFLICT DO UPDATE SET request = excluded.request",
            )?
            .execute(params![kind, id, call, request])?;
        Ok(())
    }

    /// Returns the number of records whose calls were not all rolled back.
    pub fn not_undone(&self) -> Result<u64, PlatformError> {
        Ok(self.lock().query_row("SELECT count(*) FROM entities WHERE state <> 'undone'", [], |row| row.get(0))?)
    }

    /// Applies a client's decision about a record's plan, and returns the plan; none if the state does not permit the
    /// decision. The next import acts on it.
    ///
    /// Each state has a way out: see [`LedgerDecision`].
    pub fn decide(&self, key: LedgerKey, decision: LedgerDecision) -> Result<Option<LedgerLine>, PlatformError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let line = |connection: &Connection| {
            connection
                .query_row(&format!("{LINE} WHERE kind = ? AND id = ?"), params![key.kind, key.id], line)
                .optional()
        };
        let Some(before) = line(&transaction)? else { return Ok(None) };
        let entity = "entity = (SELECT number FROM entities WHERE kind = ?1 AND id = ?2)";
        let change = |statement: &str| transaction.execute(&format!("{statement} {entity}"), params![key.kind, key.id]);
        let reopen = || change("UPDATE calls SET state = 'failed' WHERE state = 'skipped' AND");
        let needs_skipped = before.code.as_deref() == Some(NEEDS_A_SKIPPED_CALL);
        let after = match (decision, before.state) {
            (LedgerDecision::Retry, EntityState::Open | EntityState::Abandoned | EntityState::Undone) => {
                Some(EntityState::Open)
            }
            (LedgerDecision::Retry, EntityState::Failed) if !needs_skipped => Some(EntityState::Open),
            (LedgerDecision::Retry, EntityState::Failed | EntityState::Waiting) => {
                reopen()?;
                Some(EntityState::Open)
            }
            // A call of a finished plan may have been skipped, and another record may need its answer.
            (LedgerDecision::Retry, EntityState::Done) => (reopen()? > 0).then_some(EntityState::Open),
            (LedgerDecision::Skip, EntityState::Failed | EntityState::Abandoned) => {
                let skipped = change("UPDATE calls SET state = 'skipped' WHERE state = 'failed' AND")?;
                // A call that was made with another request counts as made with the present one.
                let accepted = change(
                    "UPDATE calls SET request = (SELECT request FROM changed_calls AS new
                         WHERE new.entity = calls.entity AND new.call = calls.call)
                     WHERE call IN (SELECT call FROM changed_calls AS new WHERE new.entity = calls.entity) AND",
                )?;
                change("DELETE FROM changed_calls WHERE")?;
                (skipped + accepted > 0).then_some(EntityState::Open)
            }
            (
                LedgerDecision::Abandon,
                EntityState::Open | EntityState::Waiting | EntityState::Failed | EntityState::Abandoned,
            ) => Some(EntityState::Abandoned),
            (LedgerDecision::Skip | LedgerDecision::Abandon, _) => None,
        };
        let Some(after) = after else { return Ok(None) };
        put_entity(&transaction, key, after, None)?;
        let after = line(&transaction)?;
        transaction.commit()?;
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::CallState;

    /// Brings a record's plan into a state.
    fn bring(ledger: &Ledger, key: LedgerKey, state: EntityState, skipped: bool) {
        let step = Name::new("approval");
        ledger.set_entity(key, EntityState::Open, None).unwrap();
        ledger.record_sent(key, ("first:7", 0, "approval"), [1; 16]).unwrap();
        ledger.record_result(key, "first:7", CallState::Failed, 400, &[]).unwrap();
        if skipped {
            ledger.set_entity(key, EntityState::Failed, None).unwrap();
            ledger.decide(key, LedgerDecision::Skip).unwrap().unwrap();
        }
        ledger.record_sent(key, ("second:7", 1, "approval"), [2; 16]).unwrap();
        let (second, failed) = match state {
            EntityState::Failed => (CallState::Failed, Some((&step, &Code::new("INVALID_DATE"), 400))),
            EntityState::Undone => (CallState::Undone, None),
            _ => (CallState::Done, None),
        };
        ledger.record_result(key, "second:7", second, 200, &[]).unwrap();
        if !skipped && state != EntityState::Abandoned {
            ledger.record_result(key, "first:7", CallState::Done, 200, &[]).unwrap();
        }
        ledger.set_entity(key, state, failed).unwrap();
    }

    /// Every state and every decision: the new state, or none if the decision is refused. Each state but `done` has a
    /// decision that leads out of it. Undo leads out of `done`.
    #[test]
    fn each_state_has_a_way_out() {
        use EntityState::*;
        use LedgerDecision::{Abandon, Retry, Skip};
        // State, true if a call was skipped before, and the states after retry, skip and abandon.
        let cases = [
            (Open, false, [Some(Open), None, Some(Abandoned)]),
            (Waiting, false, [Some(Open), None, Some(Abandoned)]),
            (Waiting, true, [Some(Open), None, Some(Abandoned)]),
            (Done, false, [None, None, None]),
            (Done, true, [Some(Open), None, None]),
            (Failed, false, [Some(Open), Some(Open), Some(Abandoned)]),
            (Failed, true, [Some(Open), Some(Open), Some(Abandoned)]),
            (Abandoned, false, [Some(Open), Some(Open), Some(Abandoned)]),
            (Undone, false, [Some(Open), None, None]),
        ];
        for state in [Open, Waiting, Done, Failed, Abandoned, Undone] {
            assert!(cases.iter().any(|(of, ..)| *of == state), "{state:?} is missing");
        }
        let held = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&held.path().join("ledger.db")).unwrap();
        let mut number = 0;
        for (state, skipped, expected) in cases {
            for (decision, expected) in [Retry, Skip, Abandon].into_iter().zip(expected) {
                number += 1;
                let key = LedgerKey { kind: "loans", id: [number; 16] };
                bring(&ledger, key, state, skipped);
                let after = ledger.decide(key, decision).unwrap().map(|line| line.state);
                assert_eq!(after, expected, "{decision:?} of {state:?}, skipped {skipped}");
                let kept = ledger.entity(key).unwrap();
                assert_eq!(kept, Some(expected.unwrap_or(state)), "{decision:?} of {state:?}");
                if decision == Retry && skipped && state != Failed {
                    let first = ledger.call(key, "first:7").unwrap().unwrap();
                    assert_eq!(first.state, CallState::Failed, "a skipped call of {state:?} is sent again");
                }
            }
        }
        let nobody = LedgerKey { kind: "loans", id: [0; 16] };
        assert!(ledger.decide(nobody, Retry).unwrap().is_none());
    }

    /// A call that was rolled back is sent again under another idempotency key, and its answers are forgotten.
    #[test]
    fn a_call_knows_how_often_it_was_rolled_back() {
        let held = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&held.path().join("ledger.db")).unwrap();
        let key = LedgerKey { kind: "clients", id: [7; 16] };
        for times in 0..3 {
            ledger.set_entity(key, EntityState::Open, None).unwrap();
            ledger.record_sent(key, ("creation", 0, "creation"), [1; 16]).unwrap();
            assert_eq!(ledger.call(key, "creation").unwrap().unwrap().undone, times);
            let kept = [("key".to_owned(), "8a8b".to_owned())];
            ledger.record_result(key, "creation", CallState::Done, 201, &kept).unwrap();
            ledger.record_result(key, "creation", CallState::Undone, 0, &[]).unwrap();
            ledger.set_entity(key, EntityState::Undone, None).unwrap();
            assert_eq!(ledger.saved_value(key, "key").unwrap(), None);
        }
    }
}
