//! The audit trail as it is kept: lines that are added and never changed, each with the head signed at that entry.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Page, Store, StoreError};
use sluice_audit::{Broken, Entry, Head, Link, Place, Scope, Why};
use sluice_keys::{PublicKey, Signer};
use sluice_model::Digest;

/// Why an entry was not added.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trail is not as it was left. Going on would sign what somebody has made of it.
    #[error("the audit trail of {scope} is not as it was left: {broken}")]
    Broken {
        /// Whose.
        scope: Scope,
        /// Where and why.
        broken: Broken,
    },
}

impl From<rusqlite::Error> for TrailError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// SQLite itself refuses to change or remove an entry, and to add one anywhere but at the end.
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

/// The last entry of a chain, whose head must bear this key's signature.
fn last(connection: &Connection, scope: Scope, key: &PublicKey) -> Result<Option<Link>, TrailError> {
    let found: Option<(u64, String, String)> = connection
        .prepare_cached("SELECT number, line, head FROM audit WHERE scope = ? ORDER BY number DESC LIMIT 1")?
        .query_row([scope.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((number, line, head)) = found else { return Ok(None) };
    let broken = |place, why| TrailError::Broken { scope, broken: Broken { place, why } };
    let (head, _) = Head::read(head.as_bytes(), Some(key)).map_err(|why| broken(Place::Head, why))?;
    let link = Link::read(line.as_bytes()).filter(|link| link.number == number && Head::of(link) == head);
    Ok(Some(link.ok_or_else(|| broken(Place::Entry(number), Why::Changed))?))
}

/// Adds an entry at the end of a chain, with the head signed there, within a transaction that is exclusive from its
/// beginning, as another process may add to the same chain.
fn add(transaction: &Transaction, signer: &Signer, scope: Scope, entry: &Entry) -> Result<(), TrailError> {
    let last = last(transaction, scope, &signer.public())?;
    let (number, previous) = last.map_or((1, Digest::default()), |last| (last.number + 1, last.hash));
    let (link, line) = Link::forge(scope, number, previous, entry);
    transaction
        .prepare_cached("INSERT INTO audit (scope, number, line, head) VALUES (?, ?, ?, ?)")?
        .execute(params![scope.to_string(), number, line, Head::of(&link).sign(signer)])?;
    Ok(())
}

impl Store {
    /// A page of a chain's lines, the oldest first, and how many there are.
    pub fn audit_lines(&self, scope: Scope, page: Page) -> Result<(Vec<String>, u64), StoreError> {
        let connection = self.lock();
        let scope = scope.to_string();
        let mut query =
            connection.prepare_cached("SELECT line FROM audit WHERE scope = ? ORDER BY number LIMIT ? OFFSET ?")?;
        let lines = query.query_map(params![scope, page.limit, page.offset], |row| row.get(0))?;
        let lines = lines.collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row("SELECT count(*) FROM audit WHERE scope = ?", [scope], |row| row.get(0))?;
        Ok((lines, total))
    }

    /// Whose chains there are.
    pub fn audit_scopes(&self) -> Result<Vec<Scope>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT DISTINCT scope FROM audit ORDER BY scope")?;
        let scopes = query.query_map([], |row| {
            let text: String = row.get(0)?;
            Scope::parse(&text).ok_or(rusqlite::Error::InvalidColumnType(0, text, rusqlite::types::Type::Text))
        })?;
        Ok(scopes.collect::<rusqlite::Result<_>>()?)
    }

    /// The signed head of a chain, and how many entries it has; none before the first entry.
    pub fn audit_head(&self, scope: Scope) -> Result<Option<(u64, String)>, StoreError> {
        Ok(self
            .lock()
            .prepare_cached("SELECT number, head FROM audit WHERE scope = ? ORDER BY number DESC LIMIT 1")?
            .query_row([scope.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }
}

/// The trail, with the key that its heads are signed with.
pub struct Trail {
    store: Arc<Store>,
    signer: Signer,
}

impl Trail {
    /// A trail in this catalogue.
    pub fn new(store: Arc<Store>, signer: Signer) -> Self {
        Self { store, signer }
    }

    /// Adds an entry.
    pub fn append(&self, scope: Scope, entry: &Entry) -> Result<(), TrailError> {
        self.with(scope, entry, |_| Ok(()))
    }

    /// Adds an entry together with what it tells of: both are kept, or neither.
    pub(super) fn with<E: From<TrailError> + From<StoreError>>(
        &self,
        scope: Scope,
        entry: &Entry,
        told: impl FnOnce(&Transaction) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut connection = self.store.lock();
        let transaction = connection.transaction().map_err(StoreError::from)?;
        told(&transaction)?;
        add(&transaction, &self.signer, scope, entry)?;
        Ok(transaction.commit().map_err(StoreError::from)?)
    }

    /// The catalogue that it is kept in.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The key that signs, for evidence about what the trail tells.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The signed head of a chain, and how many entries it has. That of an empty one is signed here and now.
    pub fn head(&self, scope: Scope) -> Result<(u64, String), StoreError> {
        let empty = || Head { scope, entries: 0, hash: Digest::default(), at: jiff::Timestamp::now() };
        Ok(self.store.audit_head(scope)?.unwrap_or_else(|| (0, empty().sign(&self.signer))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_audit::{Action, verify};
    use sluice_model::Actor;

    fn entry() -> Entry {
        Entry::new(Actor::Server, Action::Request)
    }

    fn export(trail: &Trail, scope: Scope) -> String {
        let (entries, head) = trail.head(scope).unwrap();
        let (lines, _) = trail.store.audit_lines(scope, Page { offset: 0, limit: entries }).unwrap();
        let header = sluice_audit::header(scope, &trail.signer.public());
        [vec![header], lines, vec![head]].concat().join("\n") + "\n"
    }

    /// Two processes on one catalogue add to one chain: it stays one.
    #[test]
    fn two_append_at_once() {
        let held = tempfile::tempdir().unwrap();
        let path = held.path().join("catalogue.db");
        let trails = [(); 2].map(|()| Trail::new(Arc::new(Store::open(&path).unwrap()), Signer::new(&[1; 32])));
        std::thread::scope(|scope| {
            for trail in &trails {
                scope.spawn(|| (0..20).for_each(|_| trail.append(Scope::Server, &entry()).unwrap()));
            }
        });
        let verified = verify(export(&trails[0], Scope::Server).as_bytes(), None).unwrap();
        assert_eq!(verified.hashes.len(), 40);
    }

    /// What SQL would do to the table is refused; and where it was done all the same, nothing is added after it.
    #[test]
    fn only_added_to() {
        let held = tempfile::tempdir().unwrap();
        let path = held.path().join("catalogue.db");
        let trail = Trail::new(Arc::new(Store::open(&path).unwrap()), Signer::new(&[1; 32]));
        (0..3).for_each(|_| trail.append(Scope::Server, &entry()).unwrap());
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
            let refused = trail.append(Scope::Server, &entry());
            assert!(matches!(refused, Err(TrailError::Broken { scope: Scope::Server, .. })), "{statement}");
            other.execute(back, params![was.0, was.1]).unwrap();
        }
        trail.append(Scope::Server, &entry()).unwrap();
        // Another key does not go on with what this one has signed.
        let stranger = Trail::new(trail.store.clone(), Signer::new(&[2; 32]));
        assert!(matches!(stranger.append(Scope::Server, &entry()), Err(TrailError::Broken { .. })));
    }
}
