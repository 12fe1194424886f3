//! Decisions about many failed records at once.

use rusqlite::params;

use super::state::{EntityState, LedgerDecision};
use super::{Ledger, PlatformError};

/// A filter of failed records.
#[derive(Clone, Debug, Default)]
pub struct FailedFilter {
    /// Kind of the plans, such as `loans`. All kinds if none.
    pub kind: Option<String>,
    /// Code of the failure. All codes if none.
    pub code: Option<String>,
}

impl Ledger {
    /// Decides about all failed records that match the filter, in one transaction. Returns their number.
    pub fn decide_failed(&self, decision: LedgerDecision, filter: &FailedFilter) -> Result<u64, PlatformError> {
        let FailedFilter { kind, code } = filter;
        let matching = "state = 'failed' AND (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR code = ?2)";
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        if decision == LedgerDecision::Skip {
            let skip = format!(
                "UPDATE calls SET state = 'skipped' WHERE state = 'failed'
                 AND entity IN (SELECT number FROM entities WHERE {matching})"
            );
            transaction.execute(&skip, params![kind, code])?;
        }
        let state = match decision {
            LedgerDecision::Retry | LedgerDecision::Skip => EntityState::Open,
            LedgerDecision::Abandon => EntityState::Abandoned,
        };
        let decided = transaction.execute(
            &format!(
                "UPDATE entities SET state = ?3, step = NULL, code = NULL, status = NULL, at = ?4 WHERE {matching}"
            ),
            params![kind, code, state.as_str(), jiff::Timestamp::now().to_string()],
        )?;
        transaction.commit()?;
        Ok(decided as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallState, LedgerKey};
    use sluice_model::{Code, Name};

    /// Each decision changes the failed records that match, and no others.
    #[test]
    fn decides_about_matching_records() {
        use EntityState::{Abandoned, Done, Failed, Open};
        let filter = |kind: Option<&str>, code: Option<&str>| FailedFilter {
            kind: kind.map(str::to_owned),
            code: code.map(str::to_owned),
        };
        let cases = [
            (LedgerDecision::Retry, filter(None, None), 3, [Open, Open, Open, Done]),
            (LedgerDecision::Retry, filter(None, Some("BUSY")), 2, [Open, Failed, Open, Done]),
            (LedgerDecision::Retry, filter(Some("loans"), Some("BUSY")), 1, [Open, Failed, Failed, Done]),
            (LedgerDecision::Skip, filter(Some("loans"), None), 2, [Open, Open, Failed, Done]),
            (LedgerDecision::Abandon, filter(None, Some("REFUSED")), 1, [Failed, Abandoned, Failed, Done]),
            (LedgerDecision::Abandon, filter(None, Some("OTHER")), 0, [Failed, Failed, Failed, Done]),
        ];
        let records = [("loans", 1, "BUSY"), ("loans", 2, "REFUSED"), ("clients", 3, "BUSY"), ("loans", 4, "")];
        for (number, (decision, filter, decided, states)) in cases.into_iter().enumerate() {
            let held = tempfile::tempdir().unwrap();
            let ledger = Ledger::open(&held.path().join("ledger.db")).unwrap();
            let (step, key) = (Name::new("approval"), |kind, id| LedgerKey { kind, id: [id; 16] });
            for (kind, id, code) in records {
                ledger.set_entity(key(kind, id), Open, None).unwrap();
                if code.is_empty() {
                    ledger.set_entity(key(kind, id), Done, None).unwrap();
                    continue;
                }
                ledger.record_sent(key(kind, id), ("call", 0, "approval"), [1; 16]).unwrap();
                ledger.record_result(key(kind, id), "call", CallState::Failed, 400, &[]).unwrap();
                let code = Code::from_storage(code);
                ledger.set_entity(key(kind, id), Failed, Some((&step, &code, 400))).unwrap();
            }
            assert_eq!(ledger.decide_failed(decision, &filter).unwrap(), decided, "case {number}");
            for ((kind, id, _), state) in records.into_iter().zip(states) {
                assert_eq!(ledger.entity(key(kind, id)).unwrap(), Some(state), "case {number}: {kind} {id}");
                let call = ledger.call(key(kind, id), "call").unwrap().map(|call| call.state);
                let skipped = decision == LedgerDecision::Skip && state == Open;
                let expected = if skipped { CallState::Skipped } else { CallState::Failed };
                assert_eq!(call, (id != 4).then_some(expected), "case {number}: {kind} {id}");
            }
        }
    }
}
