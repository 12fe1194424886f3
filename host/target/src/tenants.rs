//! The tenants of the target, and the scope of a migration: the tenants whose rows it may see.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::{Connection, params};
use sluice_model::Tenant;

use super::TargetError;
use super::embedded::{EmbeddedTarget, lock};
use super::tenant_target::TenantTarget;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sluice_tenants (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
";

/// The number of a tenant in the database. Rows and indexes hold it in place of the name, because it takes one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TenantNumber(i64);

impl TenantNumber {
    /// Returns the number as rows hold it.
    pub fn value(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TenantNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The rows of the target that a migration may see. Only an operator's grant adds the rows of another tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantScope {
    /// Tenant of the migration. The migration reads, stores and removes rows of this tenant.
    pub tenant: Tenant,
    /// Tenants whose rows the migration's records may refer to, in the order of their names. Lookups of a record by its id
    /// find their rows after the tenant's own.
    pub lenders: Vec<Tenant>,
    /// Tenants whose records may refer to rows of this tenant. A row that one of their rows refers to cannot be removed.
    pub borrowers: Vec<Tenant>,
}

impl TenantScope {
    /// Creates the scope of a tenant to which no grant applies.
    pub fn of(tenant: Tenant) -> Self {
        Self { tenant, lenders: vec![], borrowers: vec![] }
    }
}

/// Numbers of tenants that are known to the process.
#[derive(Default)]
pub(super) struct TenantNumbers(HashMap<Tenant, TenantNumber>);

impl EmbeddedTarget {
    /// Returns the rows that a scope covers. It is the only way to the rows.
    pub fn scoped(self: &Arc<Self>, scope: &TenantScope) -> Result<TenantTarget, TargetError> {
        let numbers = |tenants: &[Tenant]| -> Result<Vec<TenantNumber>, TargetError> {
            tenants.iter().map(|tenant| self.tenant_number(tenant)).collect()
        };
        Ok(TenantTarget {
            database: self.clone(),
            tenant: self.tenant_number(&scope.tenant)?,
            lenders: numbers(&scope.lenders)?,
            lender_names: scope.lenders.clone(),
            borrowers: numbers(&scope.borrowers)?,
        })
    }

    /// Returns the number of a tenant. Numbers a tenant that the database does not know yet.
    fn tenant_number(&self, tenant: &Tenant) -> Result<TenantNumber, TargetError> {
        if let Some(number) = lock(&self.tenants).0.get(tenant) {
            return Ok(*number);
        }
        // A tenant of an earlier process needs no write.
        let known = find(&lock(&self.reader), tenant.as_str())?;
        let number = match known {
            Some(number) => number,
            None => number_of(&lock(&self.writer), tenant.as_str())?,
        };
        lock(&self.tenants).0.insert(tenant.clone(), number);
        Ok(number)
    }
}

fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<TenantNumber>> {
    use rusqlite::OptionalExtension as _;
    let mut query = connection.prepare_cached("SELECT number FROM sluice_tenants WHERE name = ?")?;
    query.query_row([name], |row| Ok(TenantNumber(row.get(0)?))).optional()
}

/// Returns the number of the tenant with this name. Numbers it if it has none.
pub(super) fn number_of(connection: &Connection, name: &str) -> rusqlite::Result<TenantNumber> {
    connection.execute("INSERT OR IGNORE INTO sluice_tenants (name) VALUES (?)", params![name])?;
    Ok(find(connection, name)?.unwrap_or(TenantNumber(0)))
}

/// Returns the number of every tenant that the database knows.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<TenantNumber>> {
    let mut query = connection.prepare("SELECT number FROM sluice_tenants ORDER BY number")?;
    query.query_map([], |row| Ok(TenantNumber(row.get(0)?)))?.collect()
}
