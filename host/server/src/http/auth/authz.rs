//! Authorisation: the client that makes a request, and the migrations that it may use. Handlers read migrations through
//! [`Caller`] only.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use uuid::Uuid;

use crate::app::{App, AuditAuthor};
use crate::http::jobs::response::find_job;
use crate::http::observe::RequestId;
use crate::http::problem::Problem;
use sluice_audit::{Action, AuditEntry, AuditScope};
use sluice_model::{Actor, Domain, Grant, Job, Migration, Permission, Tenant};

/// A required permission, as a type. The signature of a handler shows which permission it requires.
pub trait RequiredPermission {
    /// Required permission.
    const PERMISSION: Permission;
}

/// Requires `audit`.
pub struct CanAudit;
/// Requires `read`.
pub struct CanRead;
/// Requires `migrate`.
pub struct CanMigrate;
/// Requires `approve`.
pub struct CanApprove;
/// Requires `admin`.
pub struct CanAdmin;

impl RequiredPermission for CanAudit {
    const PERMISSION: Permission = Permission::Audit;
}

impl RequiredPermission for CanRead {
    const PERMISSION: Permission = Permission::Read;
}

impl RequiredPermission for CanMigrate {
    const PERMISSION: Permission = Permission::Migrate;
}

impl RequiredPermission for CanApprove {
    const PERMISSION: Permission = Permission::Approve;
}

impl RequiredPermission for CanAdmin {
    const PERMISSION: Permission = Permission::Admin;
}

/// Rule for the name of a tenant.
const NO_TENANT: &str = "tenant must be at most 63 lower-case letters, digits and -, and begin with a letter or digit.";

/// Returns the author of the audit entries of a request.
pub fn audit_author(extensions: &Extensions) -> AuditAuthor {
    let client = extensions.get::<Grant>().map(|grant| Actor::Client(grant.client.clone()));
    AuditAuthor::new(client.unwrap_or(Actor::Unknown), extensions.get::<RequestId>().map(|id| id.0))
}

/// A client with the permission that a handler requires.
pub struct Caller<N> {
    grant: Grant,
    author: AuditAuthor,
    need: PhantomData<N>,
}

impl<N: RequiredPermission, S: Send + Sync> FromRequestParts<S> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // `authn::admit` puts the grant there. No request reaches a handler without it.
        let grant = parts.extensions.get::<Grant>().cloned().ok_or_else(Problem::unauthenticated)?;
        if !grant.may(N::PERMISSION) {
            return Err(Problem::not_permitted(N::PERMISSION));
        }
        Ok(Self { grant, author: audit_author(&parts.extensions), need: PhantomData })
    }
}

impl<N> Caller<N> {
    /// Returns the author of audit entries for this request.
    pub fn author(&self) -> &AuditAuthor {
        &self.author
    }

    /// Returns an audit entry for an action of this request.
    pub fn entry(&self, action: Action) -> AuditEntry {
        self.author.entry(action)
    }

    /// Appends to the trail that the client reads records of this source or entity type. The server sends no record before.
    pub fn note_reading(&self, app: &App, migration: Uuid, stream: &str) -> Result<(), Problem> {
        let entry = self.entry(Action::RecordsRead).stream(stream);
        Ok(app.audit(AuditScope::Migration(migration), entry)?)
    }

    /// Returns the client's grant.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns the tenant that the client registers migrations for. A client that sees several tenants has to name one, or
    /// gets the default tenant.
    pub fn tenant(&self, named: Option<&str>) -> Result<Tenant, Problem> {
        let named = named.map(str::parse::<Tenant>).transpose();
        let named = named.map_err(|_| Problem::unprocessable("INVALID_TENANT", NO_TENANT))?;
        let tenant = named.or_else(|| self.grant.tenant.clone()).unwrap_or_else(Tenant::default_tenant);
        if self.grant.sees(&tenant) { Ok(tenant) } else { Err(Problem::tenant_not_granted()) }
    }

    /// Returns the label that the client registers migrations for: its own, or the named one if it has none.
    pub fn label(&self, named: Option<Uuid>) -> Result<Option<Uuid>, Problem> {
        match (self.grant.label, named) {
            (Some(own), Some(named)) if own != named => Err(Problem::label_not_granted()),
            (own, named) => Ok(own.or(named)),
        }
    }

    /// Returns a migration that the client may see at least in part. Fails for another tenant's migration as if it did not
    /// exist.
    pub fn migration(&self, app: &App, id: &str) -> Result<Migration, Problem> {
        // Text that is not a UUID is not the id of a migration.
        let id: Uuid = id.parse().map_err(|_| Problem::no_migration())?;
        let found = app.store.migration(id)?;
        let migration =
            found.filter(|migration| self.grant.sees_migration(migration)).ok_or_else(Problem::no_migration)?;
        match migration.components.iter().find(|domain| !self.grant.holds(domain)) {
            Some(domain) if !migration.components.iter().any(|domain| self.grant.holds(domain)) => {
                Err(Problem::domain_not_granted(domain))
            }
            _ => Ok(migration),
        }
    }

    /// Returns a migration if the client was granted all of its domains.
    pub fn whole_migration(&self, app: &App, id: &str) -> Result<Migration, Problem> {
        let migration = self.migration(app, id)?;
        match migration.components.iter().find(|domain| !self.grant.holds(domain)) {
            Some(domain) => Err(Problem::domain_not_granted(domain)),
            None => Ok(migration),
        }
    }

    /// Returns a job of a migration, and the migration. Fails for a job of other domains.
    pub fn job(&self, app: &App, id: &str, job: &str) -> Result<(Migration, Job), Problem> {
        let migration = self.migration(app, id)?;
        let job = find_job(app, &migration, job);
        if let (Ok(job), Some(other)) = (&job, migration.components.iter().find(|domain| !self.grant.holds(domain)))
            && !self.grant.sees_job(&migration, job)
        {
            return Err(Problem::domain_not_granted(other));
        }
        Ok((migration, job?))
    }

    /// Returns a migration if the client was granted this domain.
    pub fn domain_migration(&self, app: &App, domain: &Domain, id: &str) -> Result<Migration, Problem> {
        if !self.grant.holds(domain) {
            return Err(Problem::domain_not_granted(domain));
        }
        self.migration(app, id)
    }
}
