//! Registered plugins, their approvals, and the keys that verify the plugins of customers.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::{Catalog, CatalogError, Pagination};
use sluice_model::{
    Approval, Digest, Name, PluginKey, PluginOrigin, RegisteredPlugin, Tenant, Version, World, from_hex, to_hex,
};

/// Stored name for every tenant. No tenant can have this name.
const EVERY_TENANT: &str = "*";

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS plugins (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL, tenant TEXT NOT NULL, world TEXT NOT NULL, name TEXT NOT NULL,
    version TEXT NOT NULL, domain TEXT, origin TEXT NOT NULL, client TEXT, pushed_at TEXT NOT NULL, signed_by TEXT,
    inspection TEXT NOT NULL, UNIQUE (digest, tenant)
);
CREATE TABLE IF NOT EXISTS approvals (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL, tenant TEXT NOT NULL, client TEXT NOT NULL, at TEXT NOT NULL,
    limits TEXT NOT NULL, revoked_at TEXT, revoked_by TEXT
);
CREATE INDEX IF NOT EXISTS approvals_of_plugin ON approvals (digest, tenant);
CREATE TABLE IF NOT EXISTS plugin_keys (
    number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, key TEXT NOT NULL, client TEXT NOT NULL, added_at TEXT NOT NULL,
    revoked_at TEXT, UNIQUE (tenant, key)
);
";

const PLUGIN: &str = "digest, tenant, world, name, version, domain, origin, client, pushed_at, signed_by, inspection";
const APPROVAL: &str = "digest, tenant, client, at, limits, revoked_at, revoked_by";

fn read<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| rusqlite::Error::InvalidColumnType(index, String::new(), rusqlite::types::Type::Text))
}

fn tenant(row: &Row, index: usize) -> rusqlite::Result<Option<Tenant>> {
    read(row, index, |text| if text == EVERY_TENANT { Some(None) } else { text.parse().ok().map(Some) })
}

fn tenant_text(tenant: Option<&Tenant>) -> &str {
    tenant.map_or(EVERY_TENANT, Tenant::as_str)
}

fn plugin(row: &Row) -> rusqlite::Result<RegisteredPlugin> {
    Ok(RegisteredPlugin {
        digest: read(row, 0, Digest::parse)?,
        tenant: tenant(row, 1)?,
        world: read(row, 2, World::parse)?,
        name: Name::from_storage(&row.get::<_, String>(3)?),
        version: Version::from_storage(&row.get::<_, String>(4)?),
        domain: row.get::<_, Option<String>>(5)?.map(|domain| Name::from_storage(&domain)),
        origin: read(row, 6, PluginOrigin::parse)?,
        client: row.get(7)?,
        pushed_at: read(row, 8, |text| text.parse().ok())?,
        signed_by: row.get::<_, Option<String>>(9)?.and_then(|key| from_hex(&key)),
        inspection: row.get(10)?,
    })
}

fn approval(row: &Row) -> rusqlite::Result<Approval> {
    let revoked_at: Option<String> = row.get(5)?;
    Ok(Approval {
        digest: read(row, 0, Digest::parse)?,
        tenant: tenant(row, 1)?,
        client: row.get(2)?,
        at: read(row, 3, |text| text.parse().ok())?,
        limits: read(row, 4, |text| serde_json::from_str(text).ok())?,
        revoked_at: revoked_at.and_then(|at| at.parse().ok()),
        revoked_by: row.get(6)?,
    })
}

/// Condition for an approval for every tenant to hold for the tenant `?2`: the tenant has not revoked an approval of the
/// plugin `?1`. An approval of its own replaces a revoked one, and is looked up before.
const NOT_REFUSED: &str = "NOT EXISTS (SELECT 1 FROM approvals AS own WHERE own.digest = ?1 AND own.tenant = ?2)";

/// Condition for the rows of a tenant and the rows for every tenant. All rows if the tenant is null.
const VISIBLE: &str = "(?1 IS NULL OR tenant IN (?1, '*'))";

impl Catalog {
    /// Adds a plugin. Returns false if the tenant has it already.
    pub fn add_plugin(&self, plugin: &RegisteredPlugin) -> Result<bool, CatalogError> {
        let added = self.lock().execute(
            &format!("INSERT OR IGNORE INTO plugins ({PLUGIN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
            params![
                plugin.digest.to_string(),
                tenant_text(plugin.tenant.as_ref()),
                plugin.world.as_str(),
                &*plugin.name,
                &*plugin.version,
                plugin.domain.as_deref(),
                plugin.origin.as_str(),
                plugin.client,
                plugin.pushed_at.to_string(),
                plugin.signed_by.map(|key| to_hex(&key)),
                plugin.inspection,
            ],
        )?;
        Ok(added > 0)
    }

    /// Returns plugins that a tenant may use, newest first, and their total number. `None` is every tenant.
    pub fn plugins(&self, of: Option<&Tenant>, page: Pagination) -> Result<(Vec<RegisteredPlugin>, u64), CatalogError> {
        let (connection, of) = (self.lock(), of.map(Tenant::as_str));
        let mut query = connection.prepare(&format!(
            "SELECT {PLUGIN} FROM plugins WHERE {VISIBLE} ORDER BY number DESC LIMIT ?2 OFFSET ?3"
        ))?;
        let plugins =
            query.query_map(params![of, page.limit, page.offset], plugin)?.collect::<rusqlite::Result<_>>()?;
        let count = format!("SELECT count(*) FROM plugins WHERE {VISIBLE}");
        Ok((plugins, connection.query_row(&count, [of], |row| row.get(0))?))
    }

    /// Returns all plugins that a tenant may use, newest first.
    pub fn plugins_of(&self, of: &Tenant) -> Result<Vec<RegisteredPlugin>, CatalogError> {
        Ok(self.plugins(Some(of), Pagination { offset: 0, limit: i64::MAX as u64 })?.0)
    }

    /// Returns the plugin with this digest, if the tenant may use it. `None` is every tenant.
    pub fn plugin(&self, digest: Digest, of: Option<&Tenant>) -> Result<Option<RegisteredPlugin>, CatalogError> {
        let query = format!("SELECT {PLUGIN} FROM plugins WHERE {VISIBLE} AND digest = ?2 ORDER BY number LIMIT 1");
        let key = params![of.map(Tenant::as_str), digest.to_string()];
        Ok(self.lock().query_row(&query, key, plugin).optional()?)
    }

    /// Returns the number of plugins that a tenant has pushed.
    pub fn count_plugins(&self, of: &Tenant) -> Result<u64, CatalogError> {
        let count = "SELECT count(*) FROM plugins WHERE tenant = ?";
        Ok(self.lock().query_row(count, [of.as_str()], |row| row.get(0))?)
    }

    /// Adds an approval. It replaces the tenant's previous approval of this plugin.
    pub fn approve(&self, approval: &Approval) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (digest, tenant) = (approval.digest.to_string(), tenant_text(approval.tenant.as_ref()));
        let at = approval.at.to_string();
        transaction.execute(
            "UPDATE approvals SET revoked_at = ?3, revoked_by = ?4
             WHERE digest = ?1 AND tenant = ?2 AND revoked_at IS NULL",
            params![digest, tenant, at, approval.client],
        )?;
        transaction.execute(
            "INSERT INTO approvals (digest, tenant, client, at, limits) VALUES (?, ?, ?, ?, ?)",
            params![digest, tenant, approval.client, at, serde_json::json!(approval.limits).to_string()],
        )?;
        Ok(transaction.commit()?)
    }

    /// Revokes an approval. Returns false if there is none.
    ///
    /// A tenant without an approval of its own gets a revoked one, if there is an approval for every tenant: the tenant's
    /// revocation wins over it.
    pub fn revoke_approval(
        &self,
        digest: Digest,
        tenant: Option<&Tenant>,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let (digest, tenant, now) = (digest.to_string(), tenant_text(tenant), now.to_string());
        let mut revoked = transaction.execute(
            "UPDATE approvals SET revoked_at = ?3, revoked_by = ?4
             WHERE digest = ?1 AND tenant = ?2 AND revoked_at IS NULL",
            params![digest, tenant, now, by],
        )?;
        if revoked == 0 && tenant != EVERY_TENANT {
            revoked = transaction.execute(
                &format!(
                    "INSERT INTO approvals (digest, tenant, client, at, limits, revoked_at, revoked_by)
                     SELECT digest, ?2, client, at, limits, ?3, ?4 FROM approvals
                     WHERE digest = ?1 AND tenant = '*' AND revoked_at IS NULL AND {NOT_REFUSED} LIMIT 1"
                ),
                params![digest, tenant, now, by],
            )?;
        }
        transaction.commit()?;
        Ok(revoked > 0)
    }

    /// Returns every approval of a plugin that applies to a tenant, including revoked ones, oldest first. `None` is
    /// every tenant.
    pub fn approvals(&self, digest: Digest, of: Option<&Tenant>) -> Result<Vec<Approval>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {APPROVAL} FROM approvals WHERE {VISIBLE} AND digest = ?2 ORDER BY number"
        ))?;
        let approvals = query.query_map(params![of.map(Tenant::as_str), digest.to_string()], approval)?;
        Ok(approvals.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the approval under which a tenant's migrations may use a plugin: the tenant's own, or else the one for
    /// every tenant. A tenant that has revoked its approval has none.
    pub fn approval(&self, digest: Digest, of: &Tenant) -> Result<Option<Approval>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {APPROVAL} FROM approvals WHERE digest = ?1 AND revoked_at IS NULL
             AND (tenant = ?2 OR (tenant = '*' AND {NOT_REFUSED})) ORDER BY tenant = '*', number DESC LIMIT 1"
        ))?;
        Ok(query.query_row([digest.to_string().as_str(), of.as_str()], approval).optional()?)
    }

    /// Returns the first of these plugins that has no approval for the tenant, or `None`. An import calls it for each
    /// batch, so it does not read the approvals themselves.
    pub fn first_unapproved(&self, digests: &[Digest], of: &Tenant) -> Result<Option<Digest>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM approvals WHERE digest = ?1 AND revoked_at IS NULL
             AND (tenant = ?2 OR (tenant = '*' AND {NOT_REFUSED})))"
        ))?;
        for digest in digests {
            if !query.query_row([digest.to_string().as_str(), of.as_str()], |row| row.get::<_, bool>(0))? {
                return Ok(Some(*digest));
            }
        }
        Ok(None)
    }

    /// Adds a key that verifies a tenant's plugins. Returns false if the tenant has or had it. So a revoked key stays
    /// revoked.
    pub fn add_plugin_key(&self, key: &PluginKey) -> Result<bool, CatalogError> {
        let added = self.lock().execute(
            "INSERT OR IGNORE INTO plugin_keys (tenant, key, client, added_at) VALUES (?, ?, ?, ?)",
            params![key.tenant.as_str(), to_hex(&key.key), key.client, key.added_at.to_string()],
        )?;
        Ok(added > 0)
    }

    /// Revokes a key. Returns false if the tenant has no such key.
    pub fn revoke_plugin_key(&self, tenant: &Tenant, key: &[u8; 32], now: Timestamp) -> Result<bool, CatalogError> {
        let revoked = self.lock().execute(
            "UPDATE plugin_keys SET revoked_at = ?3 WHERE tenant = ?1 AND key = ?2 AND revoked_at IS NULL",
            params![tenant.as_str(), to_hex(key), now.to_string()],
        )?;
        Ok(revoked > 0)
    }

    /// Returns the keys of a tenant, including revoked ones, oldest first. `None` is every tenant.
    pub fn plugin_keys(&self, of: Option<&Tenant>) -> Result<Vec<PluginKey>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT tenant, key, client, added_at, revoked_at FROM plugin_keys WHERE (?1 IS NULL OR tenant = ?1)
             ORDER BY number",
        )?;
        let keys = query.query_map([of.map(Tenant::as_str)], |row| {
            Ok(PluginKey {
                tenant: read(row, 0, |text| text.parse().ok())?,
                key: read(row, 1, from_hex)?,
                client: row.get(2)?,
                added_at: read(row, 3, |text| text.parse().ok())?,
                revoked_at: row.get::<_, Option<String>>(4)?.and_then(|at| at.parse().ok()),
            })
        })?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }
}
