//! Rollback of one record's plan, last call first.

use std::sync::atomic::Ordering::Relaxed;

use super::http_client::PlatformRequest;
use super::ledger::LedgerKey;
use super::response::{ResponseMeaning, interpret};
use super::state::CallState;
use super::{PlatformError, Session};
use sluice_contract::PlannedCall;

impl Session<'_> {
    /// Rolls back the calls of a plan, last first. Returns true if all were rolled back. Calls `each` for every call,
    /// with true if it was.
    pub fn rollback(
        &self,
        key: LedgerKey,
        calls: &[PlannedCall],
        each: &mut dyn FnMut(&PlannedCall, bool),
    ) -> Result<bool, PlatformError> {
        for call in calls.iter().rev() {
            let Some(known) = self.ledger.call(key, &call.id)? else { continue };
            if !known.state.may_have_happened() {
                continue;
            }
            if known.state == CallState::Sent {
                match self.check_happened(call)? {
                    Some(kept) => self.ledger.record_result(key, &call.id, CallState::Done, 0, &kept)?,
                    None => continue,
                }
            }
            let Some(undo) = &call.undo else {
                self.ledger.record_result(key, &call.id, CallState::Undone, 0, &[])?;
                continue;
            };
            let (Some(path), Some(body)) = (self.assemble(&undo.path, false)?, self.assemble(&undo.body, true)?) else {
                each(call, false);
                return Ok(false);
            };
            if !self.send_undo(undo.method, &path, &body)? {
                each(call, false);
                return Ok(false);
            }
            self.ledger.record_result(key, &call.id, CallState::Undone, 0, &[])?;
            each(call, true);
        }
        Ok(true)
    }

    /// Sends the call that rolls another one back, until its result is known. If the object does not exist, it was
    /// rolled back before.
    fn send_undo(&self, method: &'static str, path: &str, body: &str) -> Result<bool, PlatformError> {
        let (mut attempt, mut uncertain) = (0, false);
        loop {
            self.counters.sent.fetch_add(1, Relaxed);
            match self.send(&PlatformRequest { method, path, query: &[], body, key: None })? {
                Ok(response) if response.status == 404 => return Ok(true),
                Ok(response) => match interpret(&response, &self.platform.description) {
                    ResponseMeaning::Done => return Ok(true),
                    ResponseMeaning::Denied => return Err(PlatformError::Denied(response.status)),
                    // If an earlier response was lost, the object may have been rolled back, and cannot be once more.
                    ResponseMeaning::Refused(_) | ResponseMeaning::Already(_) => return Ok(uncertain),
                    ResponseMeaning::Postponed(pause) => {
                        self.postpone(pause, attempt)?;
                        attempt += u32::from(response.status != 429);
                    }
                    ResponseMeaning::Uncertain => {
                        uncertain = true;
                        attempt += 1;
                        self.back_off(attempt)?;
                    }
                },
                Err(lost) => {
                    (uncertain, attempt) = (true, attempt + 1);
                    if attempt >= self.platform.config.max_attempts {
                        return Err(PlatformError::Unreachable(lost));
                    }
                    self.back_off(attempt)?;
                }
            }
            if attempt >= self.platform.config.max_attempts {
                return Ok(false);
            }
        }
    }
}
