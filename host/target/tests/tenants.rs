//! Tenants in the embedded target: each sees its own rows alone, or another's by a grant.

use std::sync::Arc;

use rusqlite::Connection;
use sluice_config::ImportLimits;
use sluice_contract::{Column, ColumnKind, EntityType, Reference};
use sluice_model::{Digest, Name, Tenant};
use sluice_target::{
    ColumnExtractor, EmbeddedTarget, IdSets, NewRow, RemovedRows, RowProvenance, RowRemoval, Target, TenantScope,
    TenantTarget,
};
use uuid::Uuid;

const NORTHS: Uuid = Uuid::from_u128(1);
const SOUTHS: Uuid = Uuid::from_u128(2);

/// Two types: loans, and payments that refer to them.
fn types() -> [EntityType; 2] {
    let column = |name: &'static str, path: &str, kind| Column { name: Name::new(name), path: path.into(), kind };
    let id = || column("reference_id", "referenceId", ColumnKind::Id);
    let loans = EntityType {
        name: Name::new("loans"),
        columns: vec![id(), column("name", "name", ColumnKind::Text)],
        references: vec![],
        amounts: vec![],
    };
    let payments = EntityType {
        name: Name::new("payments"),
        columns: vec![id(), column("loan", "loan", ColumnKind::Id)],
        references: vec![Reference { path: "loan".into(), entity_type: "loans".into() }],
        amounts: vec![],
    };
    [loans, payments]
}

fn id(number: u8) -> [u8; 16] {
    [number; 16]
}

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

fn store(
    target: &TenantTarget,
    migration: Uuid,
    of: &EntityType,
    number: u8,
    field: &str,
    value: &str,
) -> Vec<[u8; 16]> {
    target.prepare(of).unwrap();
    let body = format!(r#"{{"referenceId":"{}","{field}":"{value}"}}"#, Uuid::from_bytes(id(number)));
    let mut spans = vec![];
    let sum = ColumnExtractor::new(of).extract(body.as_bytes(), &mut spans);
    let provenance = RowProvenance { source: "upload".into(), mapper: None, domain_plugin: Digest::of(b"plugin") };
    let row =
        NewRow { id: id(number), hash: [1; 16], body: body.as_bytes(), spans: &spans, sum, provenance: 0, position: 1 };
    let mut load = target.begin(migration, of, &|| false).unwrap();
    let (_, foreign) = load.store(&[provenance], &mut [row]).unwrap();
    load.finish(Some(1)).unwrap();
    foreign
}

struct World {
    _folder: tempfile::TempDir,
    database: Arc<EmbeddedTarget>,
    types: [EntityType; 2],
}

impl World {
    /// North has loans 1 and 2 and payment 1 of loan 1. South has loan 2, and payment 1 that names north's loan 1.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("platform.db");
        let database = Arc::new(EmbeddedTarget::open(&file, &ImportLimits::default(), &|_| None).unwrap());
        let world = Self { _folder: folder, database, types: types() };
        let [loans, payments] = &world.types;
        let (north, south) = (world.of("north"), world.of("south"));
        let loan = Uuid::from_bytes(id(1)).to_string();
        for (target, migration, of, number, field, value) in [
            (&north, NORTHS, loans, 1, "name", "n1"),
            (&north, NORTHS, loans, 2, "name", "n2"),
            (&north, NORTHS, payments, 1, "loan", &*loan),
            (&south, SOUTHS, loans, 2, "name", "s2"),
            (&south, SOUTHS, payments, 1, "loan", &*loan),
        ] {
            assert_eq!(store(target, migration, of, number, field, value), Vec::<[u8; 16]>::new(), "{value}");
        }
        world
    }

    fn scope(&self, scope: &TenantScope) -> TenantTarget {
        self.database.scoped(scope).unwrap()
    }

    fn of(&self, name: &str) -> TenantTarget {
        self.scope(&TenantScope::of(tenant(name)))
    }

    fn names(&self, target: &TenantTarget, ids: &[u8]) -> Vec<Option<String>> {
        let name = |number: &u8| {
            let record = target.read(&self.types[0], id(*number)).unwrap()?;
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
            Some(record["name"].as_str().unwrap().to_owned())
        };
        ids.iter().map(name).collect()
    }
}

/// Every method answers from the rows of the own tenant, also for an id that another tenant uses.
#[test]
fn a_tenant_sees_its_own_rows_alone() {
    let world = World::new();
    let [loans, payments] = &world.types;
    let (north, south, third) = (world.of("north"), world.of("south"), world.of("third"));
    let own = |text: &str| Some(text.to_owned());
    for (target, own_migration, exist, names, count, paid) in [
        (&north, NORTHS, [true, true, false], [own("n1"), own("n2"), None], 2, 1),
        (&south, SOUTHS, [false, true, false], [None, own("s2"), None], 1, 1),
        (&third, Uuid::nil(), [false, false, false], [None, None, None], 0, 0),
    ] {
        assert_eq!(target.exist(loans, &[id(1), id(2), id(3)]).unwrap(), exist);
        assert_eq!(world.names(target, &[1, 2, 3]), names);
        let found = target.referring(payments, "loan", &[id(1)], usize::MAX).unwrap().unwrap();
        assert_eq!(found.ends.len(), paid);
        for migration in [NORTHS, SOUTHS] {
            let is_own = migration == own_migration;
            let expected = if is_own { count } else { 0 };
            let figures = target.figures(migration, loans, &[], 10, &|| false).unwrap();
            assert_eq!((figures.count, figures.unaltered), (expected, expected));
            let mut rows = 0;
            let mut each = |batch: &[sluice_target::OwnRow]| {
                rows += batch.len() as u64;
                Ok(())
            };
            target.own_rows(migration, loans, &mut each).unwrap();
            assert_eq!(rows, expected);
            // Only a row of the own tenant is taken.
            let foreign = target.foreign(migration, loans, &[id(1), id(2)]).unwrap();
            assert_eq!(foreign, [exist[0] && !is_own, exist[1] && !is_own]);
        }
        let migration = target.imported_row(loans, id(2)).unwrap().map(|row| row.migration);
        assert_eq!(migration, exist[1].then_some(own_migration));
    }
}

/// A removal finds only the own tenant's referring rows, and removes only its rows. Other validations stay valid.
#[test]
fn a_removal_stays_within_its_tenant() {
    let world = World::new();
    let [loans, payments] = &world.types;
    let (north, south) = (world.of("north"), world.of("south"));
    let types = [loans, payments];
    let one = IdSets::from([(loans.name.clone(), [id(1)].into_iter().collect())]);
    for (target, expected) in [(&north, 1), (&south, 1)] {
        // South's payment names the id, so it refers to a row of south with this id.
        let found = target.referring_rows(&types, &RemovedRows::Ids(&one), 10, &|| false).unwrap();
        assert_eq!((found.count, found.first.len()), (expected, 1));
    }
    let found = north.referring_rows(&types, &RemovedRows::OfMigration(NORTHS), 10, &|| false).unwrap();
    assert_eq!(found.count, 0, "south's payment does not refer to north's loan");
    let before = (north.lookup_state().unwrap(), south.lookup_state().unwrap());
    for ids in [Some(&[id(2)][..]), None] {
        for migration in [NORTHS, SOUTHS] {
            let removal = RowRemoval { migration, entity_type: loans, ids, is_referred: true };
            let removed = south.remove(&removal, &mut |_| Ok(())).unwrap();
            assert_eq!(removed, u64::from(migration == SOUTHS && ids.is_some()), "{migration} {ids:?}");
        }
    }
    assert_eq!(world.names(&north, &[1, 2]), [Some("n1".into()), Some("n2".into())]);
    assert_eq!(world.names(&south, &[1, 2]), [None, None]);
    assert_eq!(north.lookup_state().unwrap(), before.0);
    assert_ne!(south.lookup_state().unwrap(), before.1);
}

/// A grant lets references find the owner's rows after the own ones, and nothing more. It protects them from removal while
/// they are referred to, and changes the state of lookups.
#[test]
fn a_grant_lets_references_through() {
    let world = World::new();
    let [loans, payments] = &world.types;
    let types = [loans, payments];
    let borrower =
        world.scope(&TenantScope { tenant: tenant("south"), lenders: vec![tenant("north")], borrowers: vec![] });
    let owner =
        world.scope(&TenantScope { tenant: tenant("north"), lenders: vec![], borrowers: vec![tenant("south")] });
    assert_eq!(borrower.exist(loans, &[id(1), id(2), id(3)]).unwrap(), [true, true, false]);
    assert_eq!(world.names(&borrower, &[1, 2, 3]), [Some("n1".into()), Some("s2".into()), None]);
    assert_ne!(borrower.lookup_state().unwrap(), world.of("south").lookup_state().unwrap());
    // Each side counts its own payments only, and the owner's figures stay.
    for target in [&borrower, &owner] {
        let found = target.referring(payments, "loan", &[id(1)], usize::MAX).unwrap().unwrap();
        assert_eq!(found.ends.len(), 1);
    }
    assert_eq!(owner.exist(loans, &[id(1), id(2)]).unwrap(), [true, true]);
    assert_eq!(world.names(&owner, &[2]), [Some("n2".into())]);
    assert_eq!(borrower.figures(NORTHS, loans, &[], 10, &|| false).unwrap().count, 0);
    assert_eq!(borrower.foreign(SOUTHS, loans, &[id(1)]).unwrap(), [false]);
    assert!(borrower.imported_row(loans, id(1)).unwrap().is_none());
    let removal = RowRemoval { migration: NORTHS, entity_type: loans, ids: None, is_referred: true };
    assert_eq!(borrower.remove(&removal, &mut |_| Ok(())).unwrap(), 0);
    // South's payment refers to north's loan 1 now, until south has a loan of this id itself.
    let found = owner.referring_rows(&types, &RemovedRows::OfMigration(NORTHS), 10, &|| false).unwrap();
    assert_eq!((found.count, found.first[0].migration), (1, SOUTHS));
    let one = IdSets::from([(loans.name.clone(), [id(1)].into_iter().collect())]);
    assert_eq!(owner.referring_rows(&types, &RemovedRows::Ids(&one), 10, &|| false).unwrap().count, 2);
    store(&world.of("south"), SOUTHS, loans, 1, "name", "s1");
    let found = owner.referring_rows(&types, &RemovedRows::OfMigration(NORTHS), 10, &|| false).unwrap();
    assert_eq!(found.count, 0);
}

/// Which lease waits for which: holder, what it holds, and who waits for it beside the tenant itself, with the grant that
/// south's records may refer to north's rows.
#[test]
fn leases_wait_for_the_rows_they_concern() {
    let world = World::new();
    let (south, north, third) = (tenant("south"), tenant("north"), world.of("third"));
    let borrower = world.scope(&TenantScope { tenant: south.clone(), lenders: vec![north.clone()], borrowers: vec![] });
    let owner = world.scope(&TenantScope { tenant: north, lenders: vec![], borrowers: vec![south] });
    let waits = |target: &TenantTarget, removes: bool| {
        let lease = if removes { target.begin_removal(&|| true) } else { target.begin_import(&|| true) };
        lease.is_err()
    };
    for (holder, removes, waiting) in [
        // Of third, south and north, whether an import waits and whether a removal waits.
        (&third, false, [(false, true), (false, false), (false, false)]),
        (&third, true, [(true, true), (false, false), (false, false)]),
        (&borrower, false, [(false, false), (false, true), (false, true)]),
        (&borrower, true, [(false, false), (true, true), (false, false)]),
        (&owner, false, [(false, false), (false, false), (false, true)]),
        (&owner, true, [(false, false), (true, false), (true, true)]),
    ] {
        let lease = if removes { holder.begin_removal(&|| false) } else { holder.begin_import(&|| false) };
        let lease = lease.unwrap();
        let found = [&third, &borrower, &owner].map(|target| (waits(target, false), waits(target, true)));
        assert_eq!(found, waiting, "{removes}");
        drop(lease);
        assert!(![&third, &borrower, &owner].iter().any(|target| waits(target, true)));
    }
}

/// A database of the version before tenants: each row goes to the tenant of its migration, altered rows stay altered, and a
/// row of an unknown migration is seen by nobody.
#[test]
fn an_older_database_gets_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("platform.db");
    let [loans, payments] = types();
    let unknown = Uuid::from_u128(3);
    let limits = ImportLimits::default();
    {
        let database = Arc::new(EmbeddedTarget::open(&file, &limits, &|_| None).unwrap());
        let all = database.scoped(&TenantScope::of(tenant("anybody"))).unwrap();
        for (migration, number) in [(NORTHS, 1), (NORTHS, 2), (SOUTHS, 3), (unknown, 4)] {
            store(&all, migration, &loans, number, "name", "x");
            store(&all, migration, &payments, number, "loan", &Uuid::from_bytes(id(number)).to_string());
        }
        all.referring(&payments, "loan", &[id(1)], usize::MAX).unwrap();
    }
    let older = Connection::open(&file).unwrap();
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32fast::hash(b"sluice_tenant"));
    hasher.update(b"1");
    let sum = hasher.finalize();
    for (table, column) in [("loans", "name"), ("payments", "loan")] {
        older
            .execute_batch(&format!(
                "CREATE TABLE older AS SELECT reference_id, {column}, sluice_origin, sluice_position, sluice_hash,
                     (sluice_check - {sum} + 4294967296) % 4294967296 AS sluice_check FROM {table};
                 DROP TABLE {table};
                 ALTER TABLE older RENAME TO {table};
                 CREATE UNIQUE INDEX {table}_by_reference_id ON {table} (reference_id);
                 CREATE INDEX {table}_by_{column} ON {table} ({column})"
            ))
            .unwrap();
    }
    older
        .execute_batch(
            "UPDATE loans SET name = 'altered' WHERE sluice_origin = 1 AND rowid = 2;
             DROP TABLE sluice_tenants; DROP TABLE sluice_removals;
             CREATE TABLE sluice_removals (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
             INSERT INTO sluice_removals VALUES (1, 7); PRAGMA user_version = 0",
        )
        .unwrap();
    drop(older);

    let owners = |migration| match migration {
        NORTHS => Some(tenant("north")),
        SOUTHS => Some(tenant("south")),
        _ => None,
    };
    for _ in 0..2 {
        let database = Arc::new(EmbeddedTarget::open(&file, &limits, &owners).unwrap());
        for (name, migration, exist, figures) in [
            ("north", NORTHS, [true, true, false, false], (2, 1)),
            ("south", SOUTHS, [false, false, true, false], (1, 1)),
            ("anybody", unknown, [false; 4], (0, 0)),
        ] {
            let target = database.scoped(&TenantScope::of(tenant(name))).unwrap();
            target.prepare(&loans).unwrap();
            assert_eq!(target.exist(&loans, &[1, 2, 3, 4].map(id)).unwrap(), exist, "{name}");
            let found = target.figures(migration, &loans, &[], 10, &|| false).unwrap();
            assert_eq!((found.count, found.unaltered), figures, "{name}");
            let referring = target.referring(&payments, "loan", &[1, 2, 3, 4].map(id), usize::MAX).unwrap().unwrap();
            assert_eq!(referring.ends.len() as u64, figures.0, "{name}");
            let removals = if name == "anybody" { vec![] } else { 7_u64.to_le_bytes().to_vec() };
            assert_eq!(target.lookup_state().unwrap(), removals, "{name}");
        }
    }
    let read_only = EmbeddedTarget::open_read_only(&file).unwrap();
    assert_eq!(read_only.figures_of_file(unknown, &loans, &[]).unwrap().count, 1);
}

/// A lookup of one row, and of referring rows, reads an index that begins with the tenant. A scan reads the table in its own
/// order.
#[test]
fn lookups_read_an_index() {
    let world = World::new();
    let [_, payments] = &world.types;
    world.of("north").referring(payments, "loan", &[id(1)], usize::MAX).unwrap();
    let connection = Connection::open(world._folder.path().join("platform.db")).unwrap();
    let mut query = connection
        .prepare(
            "SELECT name, (SELECT group_concat(name) FROM pragma_index_info(indexes.name)) FROM sqlite_schema AS indexes
             WHERE type = 'index' AND tbl_name IN ('loans', 'payments') ORDER BY name",
        )
        .unwrap();
    let indexes = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let indexes: Vec<(String, String)> = indexes.map(Result::unwrap).collect();
    let expected = [
        ("loans_by_reference_id", "sluice_tenant,reference_id"),
        ("payments_by_loan", "sluice_tenant,loan"),
        ("payments_by_reference_id", "sluice_tenant,reference_id"),
    ];
    assert_eq!(indexes, expected.map(|(name, columns)| (name.into(), columns.into())));
}

/// Only the files that make statements for one tenant, and the schema steps, write the name of a table into a statement.
#[test]
fn one_file_makes_statements_on_rows() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in std::fs::read_dir(source).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let named = ["FROM", "INTO", "UPDATE", "JOIN"].map(|word| format!("{word} \\\"{{"));
        let makes_statements = named.iter().any(|named| text.contains(named));
        assert_eq!(makes_statements, ["table.rs", "upgrade.rs"].contains(&&*name), "{name}");
    }
}
