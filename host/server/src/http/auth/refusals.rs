//! Audit entries of refused requests.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use crate::app::{App, AsyncApp, AuditAuthor};
use sluice_audit::{Action, AuditScope};
use sluice_model::Grant;

/// Audit log of refused requests, limited in rate.
pub struct RefusalLog {
    /// Limit for each known client.
    pace: DefaultKeyedRateLimiter<String>,
    /// Limit for all unknown callers together.
    strangers: DefaultDirectRateLimiter,
    omitted: AtomicU64,
}

/// A refused request.
pub struct RefusedRequest {
    /// Author of the audit entry.
    pub author: AuditAuthor,
    /// Client's grant, if it has one.
    pub grant: Option<Grant>,
    /// HTTP method.
    pub method: &'static str,
    /// Template of the route.
    pub route: String,
    /// Id of a migration in the path, even if it does not exist.
    pub migration: Option<Uuid>,
    /// Status of the response.
    pub status: StatusCode,
    /// Code of the problem.
    pub code: &'static str,
}

/// Returns true if a status is a refusal. A request that is malformed, or names something that does not exist, is not; but a
/// migration that does not exist may be another tenant's.
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

impl RefusalLog {
    /// Makes a log with the configured limits.
    pub fn new(app: &AsyncApp) -> Self {
        let least = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let limits = &app.config().audit;
        let pace = RateLimiter::keyed(Quota::per_second(least(limits.refusals_per_second)));
        let strangers = RateLimiter::direct(Quota::per_minute(least(limits.strangers_per_minute)));
        Self { pace, strangers, omitted: AtomicU64::new(0) }
    }

    /// Records a refused request, unless its rate limit is reached.
    pub fn note(&self, app: &App, refused: RefusedRequest) {
        let in_pace = match &refused.grant {
            Some(grant) => self.pace.check_key(&grant.client).is_ok(),
            None => self.strangers.check().is_ok(),
        };
        if !in_pace {
            self.omitted.fetch_add(1, Relaxed);
            return;
        }
        let RefusedRequest { author, grant, method, route, migration, status, code } = refused;
        let mut entry = author.entry(Action::Request).operation(method, &route).refused(code);
        let omitted = self.omitted.swap(0, Relaxed);
        if omitted > 0 {
            entry = entry.figure("omittedBefore", omitted);
        }
        // A refusal because of a migration's state goes to the migration's own chain, if the client sees the migration. Every
        // other refusal goes to the server's chain, so that a tenant's chain does not show requests of strangers.
        let of_state = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED, StatusCode::UNPROCESSABLE_ENTITY];
        let seen = migration.filter(|_| of_state.contains(&status)).filter(|id| {
            let found = app.store.migration(*id).ok().flatten();
            grant.zip(found).is_some_and(|(grant, found)| grant.sees_migration(&found))
        });
        let (scope, entry) = match seen {
            Some(id) => (AuditScope::Migration(id), entry),
            None => (AuditScope::Server, entry.migration(migration)),
        };
        if let Err(error) = app.audit(scope, entry) {
            self.omitted.fetch_add(omitted + 1, Relaxed);
            tracing::error!(code = "AUDIT_FAILED", %error, "cannot audit a refused request");
        }
    }
}
