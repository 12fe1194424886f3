//! The stored audit trail: lines that are appended and never changed, each with the head that was signed at that entry.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Catalog, CatalogError, Pagination};
use sluice_audit::{AuditEntry, AuditScope, ExportLocation, Head, Link, VerificationError, VerificationFault};
use sluice_keys::{PublicKey, Signer};
use sluice_model::Digest;

/// An error of appending an entry.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The last entry does not verify: the trail was changed from outside. A new entry would sign that change.
    #[error("the audit trail of {scope} was changed from outside: {error}")]
    Verification {
        /// Scope of the trail.
        scope: AuditScope,
        /// Fault of the trail.
        error: VerificationError,
    },
}

impl From<rusqlite::Error> for TrailError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Catalog(error.into())
    }
}

/// Tables of the trail. Triggers make SQLite refuse to change or remove an entry, and to add one anywhere but at the
/// end.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS audit (
    scope TEXT NOT NULL, number INTEGER NOT NULL, line TEXT NOT NULL, head TEXT NOT NULL,
    PRIMARY KEY (scope, number)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_added_to_at_its_end BEFORE INSERT ON audit
WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit WHERE scope = NEW.scope)
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
";

/// Returns the last entry of a chain. Checks its line and that its head has this key's signature.
fn last(connection: &Connection, scope: AuditScope, key: &PublicKey) -> Result<Option<Link>, TrailError> {
    let found: Option<(u64, String, String)> = connection
        .prepare_cached("SELECT number, line, head FROM audit WHERE scope = ? ORDER BY number DESC LIMIT 1")?
        .query_row([scope.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((number, line, head)) = found else { return Ok(None) };
    let failure = |location, fault| TrailError::Verification { scope, error: VerificationError { location, fault } };
    let (head, _) = Head::read(head.as_bytes(), Some(key)).map_err(|fault| failure(ExportLocation::Head, fault))?;
    let link = Link::read(line.as_bytes()).filter(|link| link.number == number && Head::of(link) == head);
    Ok(Some(link.ok_or_else(|| failure(ExportLocation::Entry(number), VerificationFault::Changed))?))
}

/// Appends an entry and its signed head to a chain. The transaction must be exclusive from its beginning, because
/// another process may append to the same chain.
fn append(transaction: &Transaction, signer: &Signer, scope: AuditScope, entry: &AuditEntry) -> Result<(), TrailError> {
    let last = last(transaction, scope, &signer.public())?;
    let (number, previous) = last.map_or((1, Digest::default()), |last| (last.number + 1, last.hash));
    let (link, line) = Link::append(scope, number, previous, entry);
    transaction
        .prepare_cached("INSERT INTO audit (scope, number, line, head) VALUES (?, ?, ?, ?)")?
        .execute(params![scope.to_string(), number, line, Head::of(&link).sign(signer)])?;
    Ok(())
}

impl Catalog {
    /// Returns lines of a chain, oldest first, and their total number.
    pub fn audit_lines(&self, scope: AuditScope, page: Pagination) -> Result<(Vec<String>, u64), CatalogError> {
        let connection = self.lock();
        let scope = scope.to_string();
        let mut query =
            connection.prepare_cached("SELECT line FROM audit WHERE scope = ? ORDER BY number LIMIT ? OFFSET ?")?;
        let lines = query.query_map(params![scope, page.limit, page.offset], |row| row.get(0))?;
        let lines = lines.collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row("SELECT count(*) FROM audit WHERE scope = ?", [scope], |row| row.get(0))?;
        Ok((lines, total))
    }

    /// Returns the scopes that have a chain.
    pub fn audit_scopes(&self) -> Result<Vec<AuditScope>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT DISTINCT scope FROM audit ORDER BY scope")?;
        let scopes = query.query_map([], |row| {
            let text: String = row.get(0)?;
            AuditScope::parse(&text).ok_or(rusqlite::Error::InvalidColumnType(0, text, rusqlite::types::Type::Text))
        })?;
        Ok(scopes.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the number of entries of a chain and its signed head, or `None` before the first entry.
    pub fn audit_head(&self, scope: AuditScope) -> Result<Option<(u64, String)>, CatalogError> {
        Ok(self
            .lock()
            .prepare_cached("SELECT number, head FROM audit WHERE scope = ? ORDER BY number DESC LIMIT 1")?
            .query_row([scope.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }
}

/// The audit trail of a catalog, with the key that signs its heads.
pub struct Trail {
    catalog: Arc<Catalog>,
    signer: Signer,
}

impl Trail {
    /// Makes a trail in this catalog.
    pub fn new(catalog: Arc<Catalog>, signer: Signer) -> Self {
        Self { catalog, signer }
    }

    /// Appends an entry.
    pub fn append(&self, scope: AuditScope, entry: &AuditEntry) -> Result<(), TrailError> {
        self.append_with(scope, entry, |_| Ok(()))
    }

    /// Appends an entry in one transaction with the change that it describes. Both are stored, or neither.
    pub(super) fn append_with<E: From<TrailError> + From<CatalogError>>(
        &self,
        scope: AuditScope,
        entry: &AuditEntry,
        change: impl FnOnce(&Transaction) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut connection = self.catalog.lock();
        let transaction = connection.transaction().map_err(CatalogError::from)?;
        change(&transaction)?;
        append(&transaction, &self.signer, scope, entry)?;
        Ok(transaction.commit().map_err(CatalogError::from)?)
    }

    /// Returns the catalog of the trail.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the signer of the trail, which also signs evidence.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Returns the number of entries of a chain and its signed head. Signs a new head if the chain is empty.
    pub fn head(&self, scope: AuditScope) -> Result<(u64, String), CatalogError> {
        let empty = || Head { scope, entries: 0, hash: Digest::default(), at: jiff::Timestamp::now() };
        Ok(self.catalog.audit_head(scope)?.unwrap_or_else(|| (0, empty().sign(&self.signer))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_audit::{Action, verify};
    use sluice_model::Actor;

    fn entry() -> AuditEntry {
        AuditEntry::new(Actor::Server, Action::Request)
    }

    fn export(trail: &Trail, scope: AuditScope) -> String {
        let (entries, head) = trail.head(scope).unwrap();
        let (lines, _) = trail.catalog.audit_lines(scope, Pagination { offset: 0, limit: entries }).unwrap();
        let header = sluice_audit::header(scope, &trail.signer.public());
        [vec![header], lines, vec![head]].concat().join("\n") + "\n"
    }

    /// Two processes append to one chain of a catalog. It stays one chain.
    #[test]
    fn two_append_at_once() {
        let temp_dir = tempfile::tempdir().unwrap();
        let path = temp_dir.path().join("catalogue.db");
        let trails = [(); 2].map(|()| Trail::new(Arc::new(Catalog::open(&path).unwrap()), Signer::new(&[1; 32])));
        std::thread::scope(|scope| {
            for trail in &trails {
                scope.spawn(|| (0..20).for_each(|_| trail.append(AuditScope::Server, &entry()).unwrap()));
            }
        });
        let verified = verify(export(&trails[0], AuditScope::Server).as_bytes(), None).unwrap();
        assert_eq!(verified.hashes.len(), 40);
    }

    /// SQLite refuses to change the trail. After a change without the triggers, the trail refuses new entries.
    #[test]
    fn append_only() {
        let temp_dir = tempfile::tempdir().unwrap();
        let path = temp_dir.path().join("catalogue.db");
        let trail = Trail::new(Arc::new(Catalog::open(&path).unwrap()), Signer::new(&[1; 32]));
        (0..3).for_each(|_| trail.append(AuditScope::Server, &entry()).unwrap());
        let other = Connection::open(&path).unwrap();
        let statements = [
            "UPDATE audit SET line = 'x' WHERE number = 2",
            "DELETE FROM audit WHERE number = 3",
            "DELETE FROM audit",
            "INSERT OR REPLACE INTO audit SELECT scope, number, 'x', head FROM audit WHERE number = 3",
            "INSERT INTO audit VALUES ('server', 5, 'x', 'x')",
            "INSERT INTO audit VALUES ('other', 2, 'x', 'x')",
        ];
        for statement in statements {
            let error = other.execute(statement, []).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{statement}: {error}");
        }
        let tampered = [
            "UPDATE audit SET line = replace(line, 'server', 'unknown') WHERE number = 3",
            "UPDATE audit SET line = (SELECT line FROM audit WHERE number = 2) WHERE number = 3",
            "UPDATE audit SET head = (SELECT head FROM audit WHERE number = 2) WHERE number = 3",
            "UPDATE audit SET head = replace(head, '\"entries\":3', '\"entries\":4') WHERE number = 3",
        ];
        other.execute_batch("DROP TRIGGER audit_is_not_changed").unwrap();
        for statement in tampered {
            let back = "UPDATE audit SET line = ?, head = ? WHERE number = 3";
            let was: (String, String) = other
                .query_row("SELECT line, head FROM audit WHERE number = 3", [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            assert_eq!(other.execute(statement, []).unwrap(), 1);
            let refused = trail.append(AuditScope::Server, &entry());
            assert!(matches!(refused, Err(TrailError::Verification { scope: AuditScope::Server, .. })), "{statement}");
            other.execute(back, params![was.0, was.1]).unwrap();
        }
        trail.append(AuditScope::Server, &entry()).unwrap();
        // A trail with another key does not append to heads that this key has signed.
        let stranger = Trail::new(trail.catalog.clone(), Signer::new(&[2; 32]));
        assert!(matches!(stranger.append(AuditScope::Server, &entry()), Err(TrailError::Verification { .. })));
    }
}
