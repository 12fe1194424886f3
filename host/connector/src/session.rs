//! Execution of plans. Each call is saved in the ledger and sent at the agreed pace. If its response is lost, the
//! session asks the platform if the call happened.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use uuid::Uuid;

use super::decision::NEEDS_A_SKIPPED_CALL;
use super::http_client::{PlatformRequest, PlatformResponse};
use super::ledger::{Ledger, LedgerKey};
use super::response::{ResponseMeaning, interpret, items, kept_values, text_at};
use super::state::{CallState, EntityState};
use super::{Platform, PlatformError};
use sluice_contract::{CallCheck, CallPart, PlannedCall};
use sluice_model::{Code, Digest, Name, Progress};

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A session of one migration with a platform.
pub struct Session<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// Ledger of the migration.
    pub ledger: &'a Ledger,
    /// Reference id of the migration: the namespace of idempotency keys.
    pub migration: Uuid,
    /// Progress of the job, with requests to cancel and to pause.
    pub progress: &'a Progress,
    /// True if calls may have been sent that the ledger does not know of. That is so if the ledger comes from a backup,
    /// because the original server may have gone on.
    pub behind: bool,
    /// Counters of the calls that were sent.
    pub counters: SessionCounters,
}

/// Counters of calls by purpose.
#[derive(Default)]
pub struct SessionCounters {
    /// Calls of plans, repetitions included.
    pub sent: AtomicU64,
    /// Queries if a call happened, or what the platform has.
    pub queries: AtomicU64,
}

/// Result of a call.
enum CallOutcome {
    /// The call happened. Has the status and the values to be saved.
    Done(u16, Vec<(String, String)>),
    /// The call failed for good.
    Failed(Code, u16),
}

/// An error after which a call is tried again.
enum RetryReason {
    Lost(Code),
    Status(u16),
}

impl<'a> Session<'a> {
    /// Creates a session of a migration.
    pub fn new(platform: &'a Platform, ledger: &'a Ledger, migration: Uuid, progress: &'a Progress) -> Self {
        Self { platform, ledger, migration, progress, behind: false, counters: SessionCounters::default() }
    }
}

impl Session<'_> {
    /// Executes a record's plan as far as possible. The ledger then has the state of the plan.
    pub fn execute(&self, key: LedgerKey, calls: &[PlannedCall]) -> Result<(), PlatformError> {
        self.ledger.set_entity(key, EntityState::Open, None)?;
        let mut reached = None;
        for (ordinal, call) in calls.iter().enumerate() {
            let request = request_hash(call);
            let known = self.ledger.call(key, &call.id)?;
            let changed = known.as_ref().is_some_and(|known| known.request != request);
            let undone = known.as_ref().map_or(0, |known| known.undone);
            let mut state = known.map(|known| known.state);
            let has_passed = self.behind && !state.is_some_and(CallState::is_finished) && {
                let reached = match reached {
                    Some(reached) => reached,
                    None => *reached.insert(self.count_happened(calls)?),
                };
                ordinal < reached
            };
            if has_passed {
                self.ledger.record_sent(key, (&call.id, ordinal, &call.step), request)?;
                state = Some(CallState::Sent);
            }
            match state {
                Some(CallState::Skipped) => continue,
                Some(CallState::Done) if !changed => continue,
                Some(CallState::Done) => return self.changed(key, call, request),
                Some(CallState::Sent) => {
                    let unchecked = has_passed && call.check == CallCheck::Repeat && call.keeps.is_empty();
                    if let Some(kept) = if unchecked { Some(vec![]) } else { self.check_happened(call)? } {
                        self.ledger.record_result(key, &call.id, CallState::Done, 0, &kept)?;
                        if changed {
                            return self.changed(key, call, request);
                        }
                        continue;
                    }
                }
                Some(CallState::Failed | CallState::Undone) | None => {}
            }
            let (Some(path), Some(body)) = (self.assemble(&call.path, false)?, self.assemble(&call.body, true)?) else {
                if self.needs_own_answer(key, call)? {
                    let (call, code) = ((&*call.id, ordinal, &call.step), Code::new(NEEDS_A_SKIPPED_CALL));
                    return self.ledger.record_unsendable(key, call, request, &code);
                }
                return self.ledger.set_entity(key, EntityState::Waiting, None);
            };
            self.ledger.record_sent(key, (&call.id, ordinal, &call.step), request)?;
            match self.send_call(key, call, &path, &body, (request, undone))? {
                CallOutcome::Done(status, kept) => {
                    self.ledger.record_result(key, &call.id, CallState::Done, status, &kept)?
                }
                CallOutcome::Failed(code, status) => {
                    self.ledger.record_result(key, &call.id, CallState::Failed, status, &[])?;
                    return self.failed(key, call, &code, status);
                }
            }
        }
        self.ledger.set_entity(key, EntityState::Done, None)
    }

    /// Returns true if a call needs an answer of its own plan that is not there: the call that has it was skipped. No other
    /// record can supply it.
    fn needs_own_answer(&self, key: LedgerKey, call: &PlannedCall) -> Result<bool, PlatformError> {
        for piece in call.path.iter().chain(&call.body) {
            if let CallPart::Answer { kind, id, name } = piece
                && (**kind == *key.kind && *id == key.id)
                && self.ledger.saved_value(key, name)?.is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Saves that a call was made with another request than it would have now.
    fn changed(&self, key: LedgerKey, call: &PlannedCall, request: [u8; 16]) -> Result<(), PlatformError> {
        self.ledger.record_change(key, &call.id, request)?;
        self.failed(key, call, &Code::new("CHANGED_AFTER_IT_WAS_SENT"), 0)
    }

    fn failed(&self, key: LedgerKey, call: &PlannedCall, code: &Code, status: u16) -> Result<(), PlatformError> {
        self.ledger.set_entity(key, EntityState::Failed, Some((&call.step, code, status)))
    }

    /// Sends a call until its result is known.
    fn send_call(
        &self,
        key: LedgerKey,
        call: &PlannedCall,
        path: &str,
        body: &str,
        (request, undone): ([u8; 16], u32),
    ) -> Result<CallOutcome, PlatformError> {
        let mut name = format!("{}:{}:{}:{}", key.kind, Uuid::from_bytes(key.id), call.id, Uuid::from_bytes(request));
        // The platform would answer a call that was rolled back as it did the first time, and create nothing.
        if undone > 0 {
            name.push_str(&format!(":{undone}"));
        }
        let idempotency = (call.method == "POST").then(|| Uuid::new_v5(&self.migration, name.as_bytes()));
        let mut attempt = 0;
        loop {
            self.counters.sent.fetch_add(1, Relaxed);
            let sent = self.send(&PlatformRequest { method: call.method, path, query: &[], body, key: idempotency })?;
            let error = match sent {
                Err(lost) => RetryReason::Lost(lost),
                Ok(response) => match interpret(&response, &self.platform.description) {
                    ResponseMeaning::Done => {
                        self.platform.pacer.on_success();
                        return Ok(match kept_values(&response.body, &call.keeps) {
                            Some(kept) => CallOutcome::Done(response.status, kept),
                            None => CallOutcome::Failed(Code::new("ANSWER_INCOMPLETE"), response.status),
                        });
                    }
                    ResponseMeaning::Postponed(pause) => {
                        self.postpone(pause, attempt)?;
                        // A call that the platform postpones has not failed.
                        attempt += u32::from(response.status != 429);
                        if attempt >= self.platform.config.max_attempts {
                            return Ok(CallOutcome::Failed(Code::new("PLATFORM_BUSY"), response.status));
                        }
                        continue;
                    }
                    ResponseMeaning::Denied => return Err(PlatformError::Denied(response.status)),
                    ResponseMeaning::Refused(code) => return Ok(CallOutcome::Failed(code, response.status)),
                    ResponseMeaning::Already(code) => {
                        // Ids are our own, so an object with the id was created by an earlier attempt.
                        return Ok(match (&call.check, self.check_happened(call)?) {
                            (_, Some(kept)) => CallOutcome::Done(response.status, kept),
                            (CallCheck::Repeat, None) if call.keeps.is_empty() => {
                                CallOutcome::Done(response.status, vec![])
                            }
                            (_, None) => CallOutcome::Failed(code, response.status),
                        });
                    }
                    ResponseMeaning::Uncertain => RetryReason::Status(response.status),
                },
            };
            self.platform.pacer.on_error();
            attempt += 1;
            if attempt >= self.platform.config.max_attempts {
                return match error {
                    RetryReason::Lost(code) => Err(PlatformError::Unreachable(code)),
                    RetryReason::Status(status) => Ok(CallOutcome::Failed(Code::new("PLATFORM_FAILED"), status)),
                };
            }
            self.back_off(attempt)?;
            if let Some(kept) = self.check_happened(call)? {
                return Ok(CallOutcome::Done(0, kept));
            }
        }
    }

    /// Returns how many of a plan's calls have happened. Each call is sent after those before it, so if one has
    /// happened, those before it have too.
    fn count_happened(&self, calls: &[PlannedCall]) -> Result<usize, PlatformError> {
        for (ordinal, call) in calls.iter().enumerate().rev() {
            if self.check_happened(call)?.is_some() {
                return Ok(ordinal + 1);
            }
        }
        Ok(0)
    }

    /// Asks the platform if a call happened. Returns the values to be saved if it did.
    pub fn check_happened(&self, call: &PlannedCall) -> Result<Option<Vec<(String, String)>>, PlatformError> {
        let found = match &call.check {
            CallCheck::Repeat => None,
            CallCheck::Found(path) => self.query("GET", path, &[], "")?,
            CallCheck::Changed(path, field, from) => self
                .query("GET", path, &[], "")?
                .filter(|body| text_at(body, field).is_some_and(|value| value != *from)),
            CallCheck::Listed(path, field, value) => self.listed(path, field, value)?,
        };
        let unreadable = || PlatformError::UnreadableResponse(call.step.clone());
        found.map(|body| kept_values(&body, &call.keeps).ok_or_else(unreadable)).transpose()
    }

    fn listed(&self, path: &str, field: &str, value: &str) -> Result<Option<String>, PlatformError> {
        let mut found = None;
        self.pages("GET", path, "", &mut |item| {
            if text_at(item, field).as_deref() == Some(value) {
                found = Some(item.to_owned());
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Reads all pages of a list, item by item, until `each` returns false.
    pub fn pages(
        &self,
        method: &'static str,
        path: &str,
        body: &str,
        each: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), PlatformError> {
        let limit = self.platform.config.page_items;
        for page in 0.. {
            let query = [("offset", (page * limit).to_string()), ("limit", limit.to_string())];
            let Some(response) = self.query(method, path, &query, body)? else { return Ok(()) };
            let items = items(&response).ok_or(PlatformError::UnreadableResponse(Name::new("list")))?;
            let more = items.len() as u64 >= limit;
            if !items.into_iter().all(|item| each(item.get())) || !more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends a query until the platform responds. Returns none if the object does not exist.
    fn query(
        &self,
        method: &'static str,
        path: &str,
        query: &[(&str, String)],
        body: &str,
    ) -> Result<Option<String>, PlatformError> {
        let mut attempt = 0;
        loop {
            self.counters.queries.fetch_add(1, Relaxed);
            let error = match self.send(&PlatformRequest { method, path, query, body, key: None })? {
                Ok(PlatformResponse { status: 200..=299, body, .. }) => {
                    self.platform.pacer.on_success();
                    return Ok(Some(body));
                }
                Ok(PlatformResponse { status: 404, .. }) => return Ok(None),
                Ok(response @ PlatformResponse { status: 401 | 403, .. }) => {
                    return Err(PlatformError::Denied(response.status));
                }
                Ok(response @ PlatformResponse { status: 429, .. }) => {
                    self.postpone(response.retry_after, attempt)?;
                    continue;
                }
                Ok(response) => RetryReason::Status(response.status),
                Err(lost) => RetryReason::Lost(lost),
            };
            self.platform.pacer.on_error();
            attempt += 1;
            if attempt >= self.platform.config.max_attempts {
                return Err(PlatformError::Unreachable(match error {
                    RetryReason::Lost(code) => code,
                    RetryReason::Status(_) => Code::new("NO_GOOD_ANSWER"),
                }));
            }
            self.back_off(attempt)?;
        }
    }

    /// Sends a request as soon as the pace and the hours allow it, and the job is not paused.
    pub fn send(&self, request: &PlatformRequest) -> Result<Result<PlatformResponse, Code>, PlatformError> {
        while self.progress.is_paused() {
            self.wait(Duration::from_millis(200))?;
        }
        if let Some(hours) = &self.platform.hours {
            while let Some(closed) = hours.wait(jiff::Timestamp::now()) {
                self.wait(closed)?;
            }
        }
        let slot = self.platform.pacer.wait(&|| self.progress.is_cancelled()).ok_or(PlatformError::Cancelled)?;
        let sent = self.platform.client.send(request);
        self.platform.pacer.on_response(&slot);
        sent
    }

    /// Slows the pace down, and holds all calls for `pause`, or waits before another attempt if the platform names no
    /// time.
    pub(super) fn postpone(&self, pause: Option<Duration>, attempt: u32) -> Result<(), PlatformError> {
        self.platform.pacer.on_error();
        match pause {
            Some(pause) => {
                self.platform.pacer.hold(pause);
                Ok(())
            }
            None => self.back_off(attempt + 1),
        }
    }

    /// Waits before another attempt, longer each time.
    pub(super) fn back_off(&self, attempt: u32) -> Result<(), PlatformError> {
        let first = Duration::from_millis(self.platform.config.retry_millis);
        self.wait(first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_PAUSE))
    }

    fn wait(&self, pause: Duration) -> Result<(), PlatformError> {
        let elapsed = self.platform.pacer.pause(pause, &|| self.progress.is_cancelled());
        if elapsed { Ok(()) } else { Err(PlatformError::Cancelled) }
    }

    /// Returns a path or body with the saved values that it needs; none if one of them is missing.
    pub fn assemble(&self, pieces: &[CallPart], quoted: bool) -> Result<Option<String>, PlatformError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                CallPart::Constant(part) | CallPart::Value(part) => text.push_str(part),
                CallPart::Answer { kind, id, name } => {
                    let Some(value) = self.ledger.saved_value(LedgerKey { kind, id: *id }, name)? else {
                        return Ok(None);
                    };
                    // Saved values have no character that JSON or a path would have to escape.
                    let quote = if quoted { "\"" } else { "" };
                    text.extend([quote, &value, quote]);
                }
            }
        }
        Ok(Some(text))
    }
}

/// Returns the hash of a planned call. A call that differs has another hash.
fn request_hash(call: &PlannedCall) -> [u8; 16] {
    let mut text = format!("{} ", call.method);
    for (index, pieces) in [&call.path, &call.body].into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "\n" });
        for piece in pieces {
            match piece {
                CallPart::Constant(part) | CallPart::Value(part) => text.push_str(part),
                CallPart::Answer { kind, id, name } => {
                    text.extend(["<", kind, &Uuid::from_bytes(*id).to_string(), name, ">"])
                }
            }
        }
    }
    let digest = Digest::of(text.as_bytes());
    std::array::from_fn(|index| digest.bytes()[index])
}
