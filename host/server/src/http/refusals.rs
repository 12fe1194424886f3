//! Refused requests are audited: who asked for what, and why it was refused.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::caller::Author;
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_model::Grant;

/// Notes refusals, and not more of them than the trail may grow by.
pub struct Refusals {
    app: Arc<App>,
    /// Of callers that were let in, each for itself.
    pace: DefaultKeyedRateLimiter<String>,
    /// Of all others together.
    strangers: DefaultDirectRateLimiter,
    omitted: AtomicU64,
}

/// A refused request.
pub struct Refused {
    pub author: Author,
    pub grant: Option<Grant>,
    pub method: &'static str,
    pub route: String,
    /// The migration that it named, whether there is one or not.
    pub migration: Option<Uuid>,
    pub status: StatusCode,
    pub code: &'static str,
}

/// Whether a status refuses something: not what cannot be understood, nor what is not there, other than a migration.
pub fn refuses(status: StatusCode, code: &str) -> bool {
    const REFUSALS: [StatusCode; 7] = [
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::CONFLICT,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    REFUSALS.contains(&status) || code == "NO_SUCH_MIGRATION"
}

impl Refusals {
    pub fn new(app: Arc<App>) -> Self {
        let least = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let limits = &app.config.audit;
        let pace = RateLimiter::keyed(Quota::per_second(least(limits.refusals_per_second)));
        let strangers = RateLimiter::direct(Quota::per_minute(least(limits.strangers_per_minute)));
        Self { app, pace, strangers, omitted: AtomicU64::new(0) }
    }

    /// Notes one.
    pub fn note(&self, refused: Refused) {
        let in_pace = match &refused.grant {
            Some(grant) => self.pace.check_key(&grant.client).is_ok(),
            None => self.strangers.check().is_ok(),
        };
        if !in_pace {
            self.omitted.fetch_add(1, Relaxed);
            return;
        }
        let Refused { author, grant, method, route, migration, status, code } = refused;
        let mut entry = author.entry(Action::Request).operation(method, &route).refused(code);
        let omitted = self.omitted.swap(0, Relaxed);
        if omitted > 0 {
            entry = entry.figure("omittedBefore", omitted);
        }
        // What was refused for the state of a migration that the caller sees stands in its own chain. All else stands
        // in the server's: the chain of another tenant's migration says nothing of who knocked.
        let of_state = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED, StatusCode::UNPROCESSABLE_ENTITY];
        let seen = migration.filter(|_| of_state.contains(&status)).filter(|id| {
            let found = self.app.store.migration(*id).ok().flatten();
            grant.zip(found).is_some_and(|(grant, found)| grant.sees(&found.tenant))
        });
        let (scope, entry) = match seen {
            Some(id) => (Scope::Migration(id), entry),
            None => (Scope::Server, entry.migration(migration)),
        };
        if let Err(error) = self.app.audit(scope, entry) {
            self.omitted.fetch_add(omitted + 1, Relaxed);
            tracing::error!(code = "AUDIT_FAILED", %error, "a refusal could not be audited");
        }
    }
}
