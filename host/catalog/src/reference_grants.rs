//! Reference grants: a platform operator lets the records of one tenant refer to rows that another tenant owns.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::{Catalog, CatalogError};
use sluice_model::Tenant;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS reference_grants (
    tenant TEXT NOT NULL, owner TEXT NOT NULL, client TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (tenant, owner)
) WITHOUT ROWID;
";

/// A grant of an operator: records of `tenant` may refer to rows of `owner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// Tenant whose records may refer to the rows.
    pub tenant: Tenant,
    /// Tenant that owns the rows.
    pub owner: Tenant,
    /// Client that gave the grant.
    pub client: String,
    /// Time of the grant.
    pub at: Timestamp,
}

/// The grants that concern one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedTenants {
    /// Tenants whose rows the tenant's records may refer to, in the order of their names.
    pub lenders: Vec<Tenant>,
    /// Tenants whose records may refer to the tenant's rows, in the order of their names.
    pub borrowers: Vec<Tenant>,
}

fn tenant(row: &Row, index: usize) -> rusqlite::Result<Tenant> {
    let name: String = row.get(index)?;
    name.parse().map_err(|_| rusqlite::Error::InvalidColumnType(index, name, rusqlite::types::Type::Text))
}

impl Catalog {
    /// Adds a reference grant. Returns false if it exists.
    pub fn add_reference_grant(&self, grant: &ReferenceGrant) -> Result<bool, CatalogError> {
        let ReferenceGrant { tenant, owner, client, at } = grant;
        let added = self.lock().execute(
            "INSERT OR IGNORE INTO reference_grants (tenant, owner, client, at) VALUES (?, ?, ?, ?)",
            params![tenant.as_str(), owner.as_str(), client, at.to_string()],
        )?;
        Ok(added > 0)
    }

    /// Removes a reference grant. Returns false if there is none.
    pub fn remove_reference_grant(&self, tenant: &Tenant, owner: &Tenant) -> Result<bool, CatalogError> {
        let remove = "DELETE FROM reference_grants WHERE tenant = ? AND owner = ?";
        Ok(self.lock().execute(remove, [tenant.as_str(), owner.as_str()])? > 0)
    }

    /// Returns all reference grants, in the order of their tenants and owners.
    pub fn reference_grants(&self) -> Result<Vec<ReferenceGrant>, CatalogError> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT tenant, owner, client, at FROM reference_grants ORDER BY tenant, owner")?;
        let grants = query.query_map([], |row| {
            let at: String = row.get(3)?;
            Ok(ReferenceGrant {
                tenant: tenant(row, 0)?,
                owner: tenant(row, 1)?,
                client: row.get(2)?,
                at: at.parse().unwrap_or_default(),
            })
        })?;
        Ok(grants.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the grants that concern a tenant.
    pub fn granted_tenants(&self, of: &Tenant) -> Result<GrantedTenants, CatalogError> {
        let grants = self.reference_grants()?;
        let given = grants.iter().filter(|grant| grant.tenant == *of);
        let taken = grants.iter().filter(|grant| grant.owner == *of);
        Ok(GrantedTenants {
            lenders: given.map(|grant| grant.owner.clone()).collect(),
            borrowers: taken.map(|grant| grant.tenant.clone()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grant concerns its two tenants, each in its own role, until it is taken back.
    #[test]
    fn grants_concern_two_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("catalogue.db")).unwrap();
        let [south, north, east]: [Tenant; 3] = ["south", "north", "east"].map(|name| name.parse().unwrap());
        let grant = ReferenceGrant {
            tenant: south.clone(),
            owner: north.clone(),
            client: "operator".into(),
            at: Timestamp::UNIX_EPOCH,
        };
        assert!(catalog.add_reference_grant(&grant).unwrap());
        assert!(!catalog.add_reference_grant(&grant).unwrap());
        assert_eq!(catalog.reference_grants().unwrap(), [grant]);
        let both = |tenant: &Tenant| {
            let GrantedTenants { lenders, borrowers } = catalog.granted_tenants(tenant).unwrap();
            (lenders, borrowers)
        };
        assert_eq!(both(&south), (vec![north.clone()], vec![]));
        assert_eq!(both(&north), (vec![], vec![south.clone()]));
        assert_eq!(both(&east), (vec![], vec![]));
        assert!(catalog.remove_reference_grant(&south, &north).unwrap());
        assert!(!catalog.remove_reference_grant(&south, &north).unwrap());
        assert_eq!(both(&south), (vec![], vec![]));
    }
}
