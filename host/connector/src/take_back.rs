//! Takes back the calls of one record's plan, last first.

use std::sync::atomic::Ordering::Relaxed;

use super::answer::{Meaning, meaning};
use super::caller::Request;
use super::ledger::Key;
use super::state::CallState;
use super::{PlatformError, Session};
use sluice_contract::PlannedCall;

impl Session<'_> {
    /// Takes back what the calls of a plan have made, last first; whether all of it. `each` hears of every call whether
    /// it was.
    pub fn take_back(
        &self,
        key: Key,
        calls: &[PlannedCall],
        each: &mut dyn FnMut(&PlannedCall, bool),
    ) -> Result<bool, PlatformError> {
        for call in calls.iter().rev() {
            let Some(known) = self.ledger.call(key, &call.id)? else { continue };
            if !known.state.may_have_happened() {
                continue;
            }
            if known.state == CallState::Sent {
                match self.happened(call)? {
                    Some(kept) => self.ledger.answered(key, &call.id, CallState::Done, 0, &kept)?,
                    None => continue,
                }
            }
            let Some(undo) = &call.undo else {
                self.ledger.answered(key, &call.id, CallState::Undone, 0, &[])?;
                continue;
            };
            let (Some(path), Some(body)) =
                (self.put_together(&undo.path, false)?, self.put_together(&undo.body, true)?)
            else {
                each(call, false);
                return Ok(false);
            };
            if !self.undone(undo.method, &path, &body)? {
                each(call, false);
                return Ok(false);
            }
            self.ledger.answered(key, &call.id, CallState::Undone, 0, &[])?;
            each(call, true);
        }
        Ok(true)
    }

    /// Sends what takes a call back, until it is known. Something that is not there has been taken back before.
    fn undone(&self, method: &'static str, path: &str, body: &str) -> Result<bool, PlatformError> {
        let (mut attempt, mut uncertain) = (0, false);
        loop {
            self.tally.sent.fetch_add(1, Relaxed);
            match self.send(&Request { method, path, query: &[], body, key: None })? {
                Ok(answer) if answer.status == 404 => return Ok(true),
                Ok(answer) => match meaning(&answer, &self.platform.description) {
                    Meaning::Done => return Ok(true),
                    Meaning::Denied => return Err(PlatformError::Denied(answer.status)),
                    // After a lost answer it may well be that it was taken back, and cannot be once more.
                    Meaning::Refused(_) | Meaning::Already(_) => return Ok(uncertain),
                    Meaning::NotNow(pause) => {
                        self.not_now(pause, attempt)?;
                        attempt += u32::from(answer.status != 429);
                    }
                    Meaning::Uncertain => {
                        uncertain = true;
                        attempt += 1;
                        self.rest(attempt)?;
                    }
                },
                Err(lost) => {
                    (uncertain, attempt) = (true, attempt + 1);
                    if attempt >= self.platform.config.max_attempts {
                        return Err(PlatformError::Unreachable(lost));
                    }
                    self.rest(attempt)?;
                }
            }
            if attempt >= self.platform.config.max_attempts {
                return Ok(false);
            }
        }
    }
}
