//! Stored API clients, with hashes of their secrets, and names of the keys that sign tokens.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::{Catalog, CatalogError};
use sluice_model::{ApiClient, Domain, Permission, SecretHash};

const COLUMNS: &str = "id, tenant, permissions, domains, created_at, expires_at, revoked_at, secret, old_secret,
    old_secret_until, label";

fn client(row: &Row) -> rusqlite::Result<ApiClient> {
    let bad = |index: usize| rusqlite::Error::InvalidColumnType(index, String::new(), rusqlite::types::Type::Text);
    let list = |index: usize| row.get::<_, String>(index);
    let time = |index: usize| -> rusqlite::Result<Option<Timestamp>> {
        let text: Option<String> = row.get(index)?;
        text.map(|text| text.parse().map_err(|_| bad(index))).transpose()
    };
    let hash = |index: usize| row.get::<_, Option<[u8; 32]>>(index).map(|hash| hash.map(SecretHash));
    let tenant: Option<String> = row.get(1)?;
    Ok(ApiClient {
        id: row.get(0)?,
        tenant: tenant.map(|name| name.parse().map_err(|_| bad(1))).transpose()?,
        permissions: list(2)?.split(',').map(Permission::parse).collect::<Option<_>>().ok_or_else(|| bad(2))?,
        domains: list(3)?.split(',').map(Domain::by_component).collect::<Option<_>>().ok_or_else(|| bad(3))?,
        created_at: time(4)?.ok_or_else(|| bad(4))?,
        expires_at: time(5)?,
        revoked_at: time(6)?,
        secret: hash(7)?.ok_or_else(|| bad(7))?,
        old_secret: hash(8)?.zip(time(9)?),
        label: row.get::<_, Option<String>>(10)?.map(|label| label.parse().map_err(|_| bad(10))).transpose()?,
    })
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

impl Catalog {
    /// Adds a client.
    pub fn add_client(&self, client: &ApiClient) -> Result<(), CatalogError> {
        let permissions: Vec<&str> = client.permissions.iter().map(|permission| permission.as_str()).collect();
        let domains: Vec<&str> = client.domains.iter().map(|domain| domain.component).collect();
        let old = client.old_secret.as_ref();
        self.lock().execute(
            &format!("INSERT INTO clients ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
            params![
                client.id,
                client.tenant.as_ref().map(|tenant| tenant.as_str()),
                permissions.join(","),
                domains.join(","),
                client.created_at.to_string(),
                text(client.expires_at),
                text(client.revoked_at),
                client.secret.0,
                old.map(|(hash, _)| hash.0),
                text(old.map(|(_, until)| *until)),
                client.label.map(|label| label.to_string()),
            ],
        )?;
        Ok(())
    }

    /// Stores the secrets of a client. Returns false if the client is revoked.
    pub fn replace_secret(&self, client: &ApiClient) -> Result<bool, CatalogError> {
        let old = client.old_secret.as_ref();
        let changed = self.lock().execute(
            "UPDATE clients SET secret = ?, old_secret = ?, old_secret_until = ? WHERE id = ? AND revoked_at IS NULL",
            params![client.secret.0, old.map(|(hash, _)| hash.0), text(old.map(|(_, until)| *until)), client.id],
        )?;
        Ok(changed > 0)
    }

    /// Revokes a client for ever.
    pub fn revoke_client(&self, id: &str, now: Timestamp) -> Result<(), CatalogError> {
        let revoke = "UPDATE clients SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?";
        self.lock().execute(revoke, [&now.to_string(), id])?;
        Ok(())
    }

    /// Returns the client with this id, revoked or not.
    pub fn client(&self, id: &str) -> Result<Option<ApiClient>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM clients WHERE id = ?"))?;
        Ok(query.query_row([id], client).optional()?)
    }

    /// Returns all clients, oldest first.
    pub fn clients(&self) -> Result<Vec<ApiClient>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare(&format!("SELECT {COLUMNS} FROM clients ORDER BY created_at, id"))?;
        Ok(query.query_map([], client)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the names of the keys that sign tokens and their times of creation, newest first.
    pub fn token_keys(&self) -> Result<Vec<(String, Timestamp)>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT id, created_at FROM token_keys ORDER BY created_at DESC")?;
        let keys = query.query_map([], |row| {
            let created_at: String = row.get(1)?;
            Ok((row.get(0)?, created_at.parse().unwrap_or_default()))
        })?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    /// Adds a key that signs tokens from now on.
    pub fn add_token_key(&self, id: &str, created_at: Timestamp) -> Result<(), CatalogError> {
        self.lock().execute("INSERT INTO token_keys (id, created_at) VALUES (?, ?)", [id, &created_at.to_string()])?;
        Ok(())
    }

    /// Removes a key that signed no valid token.
    pub fn remove_token_key(&self, id: &str) -> Result<(), CatalogError> {
        self.lock().execute("DELETE FROM token_keys WHERE id = ?", [id])?;
        Ok(())
    }
}
