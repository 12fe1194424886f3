//! Carries out plans: each call noted, sent at the agreed pace, and asked after where its answer is lost.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use uuid::Uuid;

use super::answer::{Meaning, items, kept, meaning, text_at};
use super::caller::{Answer, Request};
use super::ledger::{Key, Ledger};
use super::state::{CallState, EntityState};
use super::{Platform, PlatformError};
use sluice_contract::{Check, Piece, PlannedCall};
use sluice_model::{Code, Digest, Name, Progress};

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Work on one migration with a platform.
pub struct Session<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The migration's ledger.
    pub ledger: &'a Ledger,
    /// The migration: the namespace of idempotency keys.
    pub migration: Uuid,
    /// Whether somebody has cancelled or paused it.
    pub progress: &'a Progress,
    /// Whether calls may have been sent that the ledger does not know of: it comes from a backup, and the one that was
    /// backed up may have gone on.
    pub behind: bool,
    /// What was sent.
    pub tally: Tally,
}

/// How many calls were sent, for what.
#[derive(Default)]
pub struct Tally {
    /// Calls of plans, as often as they were sent.
    pub sent: AtomicU64,
    /// Questions whether a call happened, or what is there.
    pub asked: AtomicU64,
}

/// How a call came out.
enum Outcome {
    /// It happened; what of its answer is kept.
    Done(u16, Vec<(String, String)>),
    /// It never will.
    Failed(Code, u16),
}

/// What was wrong with an answer, for which a call is tried again.
enum Trouble {
    Lost(Code),
    Status(u16),
}

impl<'a> Session<'a> {
    /// Begins to work on a migration.
    pub fn new(platform: &'a Platform, ledger: &'a Ledger, migration: Uuid, progress: &'a Progress) -> Self {
        Self { platform, ledger, migration, progress, behind: false, tally: Tally::default() }
    }
}

impl Session<'_> {
    /// Carries out a record's plan as far as it can be; the ledger says how it then stands.
    pub fn carry_out(&self, key: Key, calls: &[PlannedCall]) -> Result<(), PlatformError> {
        self.ledger.set_entity(key, EntityState::Open, None)?;
        let mut reached = None;
        for (ordinal, call) in calls.iter().enumerate() {
            let request = request_hash(call);
            let known = self.ledger.call(key, &call.id)?;
            let changed = known.as_ref().is_some_and(|known| known.request != request);
            let mut state = known.map(|known| known.state);
            let passed = self.behind && !state.is_some_and(CallState::is_settled) && {
                let reached = match reached {
                    Some(reached) => reached,
                    None => *reached.insert(self.reached(calls)?),
                };
                ordinal < reached
            };
            if passed {
                self.ledger.sending(key, (&call.id, ordinal, &call.step), request)?;
                state = Some(CallState::Sent);
            }
            match state {
                Some(CallState::Skipped) => continue,
                Some(CallState::Done) if !changed => continue,
                Some(CallState::Done) => {
                    return self.failed(key, call, &Code::new("CHANGED_AFTER_IT_WAS_SENT"), 0);
                }
                Some(CallState::Sent) => {
                    let unasked = passed && call.check == Check::Repeat && call.keeps.is_empty();
                    if let Some(kept) = if unasked { Some(vec![]) } else { self.happened(call)? } {
                        self.ledger.answered(key, &call.id, CallState::Done, 0, &kept)?;
                        if changed {
                            return self.failed(key, call, &Code::new("CHANGED_AFTER_IT_WAS_SENT"), 0);
                        }
                        continue;
                    }
                }
                Some(CallState::Failed | CallState::Undone) | None => {}
            }
            let (Some(path), Some(body)) =
                (self.put_together(&call.path, false)?, self.put_together(&call.body, true)?)
            else {
                return self.ledger.set_entity(key, EntityState::Waiting, None);
            };
            self.ledger.sending(key, (&call.id, ordinal, &call.step), request)?;
            match self.make(key, call, &path, &body, request)? {
                Outcome::Done(status, kept) => self.ledger.answered(key, &call.id, CallState::Done, status, &kept)?,
                Outcome::Failed(code, status) => {
                    self.ledger.answered(key, &call.id, CallState::Failed, status, &[])?;
                    return self.failed(key, call, &code, status);
                }
            }
        }
        self.ledger.set_entity(key, EntityState::Done, None)
    }

    fn failed(&self, key: Key, call: &PlannedCall, code: &Code, status: u16) -> Result<(), PlatformError> {
        self.ledger.set_entity(key, EntityState::Failed, Some((&call.step, code, status)))
    }

    /// Sends a call until it is known what became of it.
    fn make(
        &self,
        key: Key,
        call: &PlannedCall,
        path: &str,
        body: &str,
        request: [u8; 16],
    ) -> Result<Outcome, PlatformError> {
        let name = format!("{}:{}:{}:{}", key.kind, Uuid::from_bytes(key.id), call.id, Uuid::from_bytes(request));
        let idempotency = (call.method == "POST").then(|| Uuid::new_v5(&self.migration, name.as_bytes()));
        let mut attempt = 0;
        loop {
            self.tally.sent.fetch_add(1, Relaxed);
            let sent = self.send(&Request { method: call.method, path, query: &[], body, key: idempotency })?;
            let trouble = match sent {
                Err(lost) => Trouble::Lost(lost),
                Ok(answer) => match meaning(&answer, &self.platform.description) {
                    Meaning::Done => {
                        self.platform.pacer.well();
                        return Ok(match kept(&answer.body, &call.keeps) {
                            Some(kept) => Outcome::Done(answer.status, kept),
                            None => Outcome::Failed(Code::new("ANSWER_INCOMPLETE"), answer.status),
                        });
                    }
                    Meaning::NotNow(pause) => {
                        self.not_now(pause, attempt)?;
                        // What the platform has put off is no failure of the call.
                        attempt += u32::from(answer.status != 429);
                        if attempt >= self.platform.config.max_attempts {
                            return Ok(Outcome::Failed(Code::new("PLATFORM_BUSY"), answer.status));
                        }
                        continue;
                    }
                    Meaning::Denied => return Err(PlatformError::Denied(answer.status)),
                    Meaning::Refused(code) => return Ok(Outcome::Failed(code, answer.status)),
                    Meaning::Already(code) => {
                        // Ids are our own: what is there under them is what an earlier attempt made.
                        return Ok(match (&call.check, self.happened(call)?) {
                            (_, Some(kept)) => Outcome::Done(answer.status, kept),
                            (Check::Repeat, None) if call.keeps.is_empty() => Outcome::Done(answer.status, vec![]),
                            (_, None) => Outcome::Failed(code, answer.status),
                        });
                    }
                    Meaning::Uncertain => Trouble::Status(answer.status),
                },
            };
            self.platform.pacer.trouble();
            attempt += 1;
            if attempt >= self.platform.config.max_attempts {
                return match trouble {
                    Trouble::Lost(code) => Err(PlatformError::Unreachable(code)),
                    Trouble::Status(status) => Ok(Outcome::Failed(Code::new("PLATFORM_FAILED"), status)),
                };
            }
            self.rest(attempt)?;
            if let Some(kept) = self.happened(call)? {
                return Ok(Outcome::Done(0, kept));
            }
        }
    }

    /// How many of a plan's calls have happened, as the platform shows: each is sent after those before it, so where one
    /// has, they have too.
    fn reached(&self, calls: &[PlannedCall]) -> Result<usize, PlatformError> {
        for (ordinal, call) in calls.iter().enumerate().rev() {
            if self.happened(call)?.is_some() {
                return Ok(ordinal + 1);
            }
        }
        Ok(0)
    }

    /// Whether a call happened; then what is kept of it.
    pub fn happened(&self, call: &PlannedCall) -> Result<Option<Vec<(String, String)>>, PlatformError> {
        let found = match &call.check {
            Check::Repeat => None,
            Check::Found(path) => self.ask("GET", path, &[], "")?,
            Check::Changed(path, field, from) => {
                self.ask("GET", path, &[], "")?.filter(|body| text_at(body, field).is_some_and(|value| value != *from))
            }
            Check::Listed(path, field, value) => self.listed(path, field, value)?,
        };
        let unreadable = || PlatformError::Answer(call.step.clone());
        found.map(|body| kept(&body, &call.keeps).ok_or_else(unreadable)).transpose()
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

    /// Asks for all pages of a list, item by item, until `each` has seen enough.
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
            let Some(answer) = self.ask(method, path, &query, body)? else { return Ok(()) };
            let items = items(&answer).ok_or(PlatformError::Answer(Name::new("list")))?;
            let more = items.len() as u64 >= limit;
            if !items.into_iter().all(|item| each(item.get())) || !more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Asks the platform, until it answers; none where there is nothing.
    fn ask(
        &self,
        method: &'static str,
        path: &str,
        query: &[(&str, String)],
        body: &str,
    ) -> Result<Option<String>, PlatformError> {
        let mut attempt = 0;
        loop {
            self.tally.asked.fetch_add(1, Relaxed);
            let trouble = match self.send(&Request { method, path, query, body, key: None })? {
                Ok(Answer { status: 200..=299, body, .. }) => {
                    self.platform.pacer.well();
                    return Ok(Some(body));
                }
                Ok(Answer { status: 404, .. }) => return Ok(None),
                Ok(answer @ Answer { status: 401 | 403, .. }) => return Err(PlatformError::Denied(answer.status)),
                Ok(answer @ Answer { status: 429, .. }) => {
                    self.not_now(answer.retry_after, attempt)?;
                    continue;
                }
                Ok(answer) => Trouble::Status(answer.status),
                Err(lost) => Trouble::Lost(lost),
            };
            self.platform.pacer.trouble();
            attempt += 1;
            if attempt >= self.platform.config.max_attempts {
                return Err(PlatformError::Unreachable(match trouble {
                    Trouble::Lost(code) => code,
                    Trouble::Status(_) => Code::new("NO_GOOD_ANSWER"),
                }));
            }
            self.rest(attempt)?;
        }
    }

    /// Sends a request when the pace, the hours and whoever runs it allow.
    pub fn send(&self, request: &Request) -> Result<Result<Answer, Code>, PlatformError> {
        while self.progress.is_paused() {
            self.wait(Duration::from_millis(200))?;
        }
        if let Some(hours) = &self.platform.hours {
            while let Some(closed) = hours.wait(jiff::Timestamp::now()) {
                self.wait(closed)?;
            }
        }
        let slot = self.platform.pacer.wait(&|| self.progress.is_cancelled()).ok_or(PlatformError::Cancelled)?;
        let sent = self.platform.caller.send(request);
        self.platform.pacer.answered(&slot);
        sent
    }

    pub(super) fn not_now(&self, pause: Option<Duration>, attempt: u32) -> Result<(), PlatformError> {
        self.platform.pacer.trouble();
        match pause {
            Some(pause) => {
                self.platform.pacer.hold(pause);
                Ok(())
            }
            None => self.rest(attempt + 1),
        }
    }

    /// Rests before another attempt, longer each time.
    pub(super) fn rest(&self, attempt: u32) -> Result<(), PlatformError> {
        let first = Duration::from_millis(self.platform.config.retry_millis);
        self.wait(first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_PAUSE))
    }

    fn wait(&self, pause: Duration) -> Result<(), PlatformError> {
        let on_time = self.platform.pacer.pause(pause, &|| self.progress.is_cancelled());
        if on_time { Ok(()) } else { Err(PlatformError::Cancelled) }
    }

    /// A path or body with the answers that it needs; none where one is not there.
    pub fn put_together(&self, pieces: &[Piece], quoted: bool) -> Result<Option<String>, PlatformError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Constant(part) | Piece::Value(part) => text.push_str(part),
                Piece::Answer { kind, id, name } => {
                    let Some(value) = self.ledger.answer(Key { kind, id: *id }, name)? else { return Ok(None) };
                    // What is kept has no character that JSON or a path would need otherwise.
                    let quote = if quoted { "\"" } else { "" };
                    text.extend([quote, &value, quote]);
                }
            }
        }
        Ok(Some(text))
    }
}

/// Hash of what a plan says of a call: another one is another request.
fn request_hash(call: &PlannedCall) -> [u8; 16] {
    let mut text = format!("{} ", call.method);
    for (index, pieces) in [&call.path, &call.body].into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "\n" });
        for piece in pieces {
            match piece {
                Piece::Constant(part) | Piece::Value(part) => text.push_str(part),
                Piece::Answer { kind, id, name } => {
                    text.extend(["<", kind, &Uuid::from_bytes(*id).to_string(), name, ">"])
                }
            }
        }
    }
    let digest = Digest::of(text.as_bytes());
    std::array::from_fn(|index| digest.bytes()[index])
}
