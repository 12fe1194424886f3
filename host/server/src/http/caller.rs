//! Who calls: a client that was let in, and what it may see and do. Handlers get at migrations through this alone.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use uuid::Uuid;

use super::observe::RequestId;
use super::problem::Problem;
use crate::app::App;
use sluice_audit::{Action, Entry};
use sluice_model::{Actor, Domain, Grant, Migration, Permission, Tenant};

/// A permission as a type: what a handler asks for stands in its signature.
pub trait Need {
    const PERMISSION: Permission;
}

/// Asks for `read`.
pub struct Read;
/// Asks for `migrate`.
pub struct Migrate;
/// Asks for `approve`.
pub struct Approve;
/// Asks for `admin`.
pub struct Admin;

impl Need for Read {
    const PERMISSION: Permission = Permission::Read;
}

impl Need for Migrate {
    const PERMISSION: Permission = Permission::Migrate;
}

impl Need for Approve {
    const PERMISSION: Permission = Permission::Approve;
}

impl Need for Admin {
    const PERMISSION: Permission = Permission::Admin;
}

/// What a tenant's name has to be.
const NO_TENANT: &str =
    "tenant must be lower-case letters, digits and -, begin with a letter or digit, and have at most 63 of them.";

/// Who makes a request, and which: what an entry of the audit trail begins with.
#[derive(Clone)]
pub struct Author {
    actor: Actor,
    request: Option<Uuid>,
}

impl Author {
    /// The client that was let in with this request, if one was.
    pub fn of(extensions: &Extensions) -> Self {
        let client = extensions.get::<Grant>().map(|grant| Actor::Client(grant.client.clone()));
        Self { actor: client.unwrap_or(Actor::Unknown), request: extensions.get::<RequestId>().map(|id| id.0) }
    }

    /// A client that was let in with an earlier request.
    pub fn again(client: &str, request: Option<Uuid>) -> Self {
        Self { actor: Actor::Client(client.to_owned()), request }
    }

    /// Which request it is.
    pub fn request(&self) -> Option<Uuid> {
        self.request
    }

    /// An entry for what this request does.
    pub fn entry(&self, action: Action) -> Entry {
        Entry::new(self.actor.clone(), action).request(self.request)
    }
}

/// A caller that has the permission asked for.
pub struct Caller<N> {
    grant: Grant,
    author: Author,
    need: PhantomData<N>,
}

impl<N: Need, S: Send + Sync> FromRequestParts<S> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by `auth::admit`, without which no request reaches a handler.
        let grant = parts.extensions.get::<Grant>().cloned().ok_or_else(Problem::unauthenticated)?;
        if !grant.may(N::PERMISSION) {
            return Err(Problem::not_permitted(N::PERMISSION));
        }
        Ok(Self { grant, author: Author::of(&parts.extensions), need: PhantomData })
    }
}

impl<N> Caller<N> {
    /// As the audit trail names it.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// An entry of the audit trail for what the caller does.
    pub fn entry(&self, action: Action) -> Entry {
        self.author.entry(action)
    }

    /// What it was granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The tenant that the caller registers migrations for, which it has to name if it sees several.
    pub fn tenant(&self, named: Option<&str>) -> Result<Tenant, Problem> {
        let named = named.map(str::parse::<Tenant>).transpose();
        let named = named.map_err(|_| Problem::unprocessable("INVALID_TENANT", NO_TENANT))?;
        let tenant = named.or_else(|| self.grant.tenant.clone()).unwrap_or_else(Tenant::only);
        if self.grant.sees(&tenant) { Ok(tenant) } else { Err(Problem::tenant_not_granted()) }
    }

    /// A migration of which the caller may see something. Another tenant's does not exist.
    pub fn any_of(&self, app: &App, id: &str) -> Result<Migration, Problem> {
        // What is no UUID is no migration's id.
        let id: Uuid = id.parse().map_err(|_| Problem::no_migration())?;
        let found = app.store.migration(id)?;
        let migration =
            found.filter(|migration| self.grant.sees(&migration.tenant)).ok_or_else(Problem::no_migration)?;
        match migration.components.iter().find(|domain| !self.grant.holds(domain)) {
            Some(domain) if !migration.components.iter().any(|domain| self.grant.holds(domain)) => {
                Err(Problem::domain_not_granted(domain))
            }
            _ => Ok(migration),
        }
    }

    /// A migration, for what concerns all that it covers.
    pub fn whole(&self, app: &App, id: &str) -> Result<Migration, Problem> {
        let migration = self.any_of(app, id)?;
        match migration.components.iter().find(|domain| !self.grant.holds(domain)) {
            Some(domain) => Err(Problem::domain_not_granted(domain)),
            None => Ok(migration),
        }
    }

    /// A migration, for what concerns one domain.
    pub fn of_domain(&self, app: &App, domain: &Domain, id: &str) -> Result<Migration, Problem> {
        if !self.grant.holds(domain) {
            return Err(Problem::domain_not_granted(domain));
        }
        self.any_of(app, id)
    }
}
