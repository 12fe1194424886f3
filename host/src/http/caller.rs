//! Who calls: a client that was let in, and what it may see and do. Handlers get at migrations through this alone.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::problem::Problem;
use crate::app::App;
use crate::model::{Actor, Domain, Grant, Migration, Permission, Tenant};

/// A permission as a type: what a handler asks for stands in its signature.
pub trait Need {
    const PERMISSION: Permission;
}

/// Asks for `read`.
pub struct Read;
/// Asks for `migrate`.
pub struct Migrate;
/// Asks for `admin`.
pub struct Admin;

impl Need for Read {
    const PERMISSION: Permission = Permission::Read;
}

impl Need for Migrate {
    const PERMISSION: Permission = Permission::Migrate;
}

impl Need for Admin {
    const PERMISSION: Permission = Permission::Admin;
}

/// A caller that has the permission asked for.
pub struct Caller<N> {
    grant: Grant,
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
        Ok(Self { grant, need: PhantomData })
    }
}

impl<N> Caller<N> {
    /// As the audit trail names it.
    pub fn actor(&self) -> Actor {
        Actor::Client(self.grant.client.clone())
    }

    /// What it was granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The tenant that the caller registers migrations for, which it has to name if it sees several.
    pub fn tenant(&self, named: Option<&str>) -> Result<Tenant, Problem> {
        let named = named.map(str::parse::<Tenant>).transpose();
        let named = named.map_err(|error| Problem::unprocessable("INVALID_TENANT", format!("tenant: {error}.")))?;
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
