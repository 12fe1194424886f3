//! The audit trail: its entries, and the detection of every change of an export.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_audit::{
    Action, AuditEntry, AuditScope, ExportLocation, Head, Link, VerificationFault, extends, header, key_from_hex,
    verify,
};
use sluice_catalog::{Catalog, Pagination};
use sluice_config::Config;
use sluice_keys::{PublicKey, Signer};
use sluice_model::{Actor, Digest};
use sluice_server::app::Options;
use tokio::sync::oneshot;

use crate::harness::lender::{Lender, put, remove, set_mapper};
use crate::harness::server::{Migration, Server, shared, start};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// Exports a trail as an auditor does.
pub async fn export(server: &Server, path: &str) -> Vec<u8> {
    let request = server.request(Method::GET, path).header("accept", "application/jsonl");
    let answer = server.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.into_bytes()
}

/// Returns the public key that an auditor pins.
pub async fn key(server: &Server) -> PublicKey {
    key_from_hex(server.get("/audit/key").await.json()["key"].as_str().unwrap()).unwrap()
}

fn client(id: u64) -> String {
    json!({"client_id": id, "birth_number": "706213"}).to_string() + "\n"
}

async fn purge(migration: &Migration) {
    let deleted = migration.server.send(migration.server.request(Method::DELETE, &migration.path(""))).await;
    assert_eq!(deleted.status, 204);
}

/// Returns a migration with a trail of more than two hundred entries, each caused by a request.
async fn migration_with_long_trail() -> Migration {
    let migration = shared().register(None, &["Counterparties"]).await;
    assert_eq!(set_mapper(&migration, "berka").await, 200);
    let lender = Lender::of(&migration);
    for number in 1..=60 {
        if number % 2 == 0 {
            migration.source("client", client(number) + "no client\n").await;
        } else {
            put(&migration, PATH, TYPE, &[lender.record(TYPE, number as u32 * 3)]).await;
        }
    }
    for number in [1, 3, 5] {
        remove(&migration, PATH, TYPE, lender.id(TYPE, number * 3)).await;
    }
    for _ in 0..45 {
        migration.job("validate").await;
    }
    migration
}

fn lines(export: &[u8]) -> Vec<Vec<u8>> {
    export.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}

fn check(tampered: &[u8], pinned: Option<&PublicKey>, location: ExportLocation, fault: VerificationFault, what: &str) {
    match verify(tampered, pinned) {
        Ok(_) => panic!("{what}: verification finds no change"),
        Err(found) => assert_eq!((found.location, found.fault), (location, fault), "{what}"),
    }
}

/// Changes an entry and gives it a matching hash.
fn altered_entry(line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(line.to_vec()).unwrap();
    let (body, _) = text.rsplit_once(",\"hash\":").unwrap();
    let body = body.replacen(",\"outcome\":\"", ",\"outcome\":\"un", 1);
    format!("{body},\"hash\":\"{}\"}}", Digest::of(body.as_bytes())).into_bytes()
}

/// A change of one entry of an export of `n` entries, and the place and reason that verification reports. `lines`
/// begins with the header, so the entry with number k is at index k.
type Tamper = (&'static str, fn(&mut Vec<Vec<u8>>, usize), fn(u64, u64) -> Option<(ExportLocation, VerificationFault)>);
const TAMPERS: &[Tamper] = &[
    (
        "deleted",
        |lines, at| drop(lines.remove(at)),
        |k, _| Some((ExportLocation::Entry(k), VerificationFault::Missing)),
    ),
    (
        "swapped",
        |lines, at| lines.swap(at, at + 1),
        |k, n| (k < n).then_some((ExportLocation::Entry(k), VerificationFault::OutOfOrder)),
    ),
    (
        "all after it gone",
        |lines, at| lines.truncate(at + 1),
        |_, _| Some((ExportLocation::Head, VerificationFault::Missing)),
    ),
    (
        "all after it but the head gone",
        |lines, at| drop(lines.drain(at + 1..lines.len() - 1)),
        |k, n| (k < n).then_some((ExportLocation::Entry(k + 1), VerificationFault::Missing)),
    ),
    (
        "twice",
        |lines, at| lines.insert(at, lines[at].clone()),
        |k, _| Some((ExportLocation::Entry(k), VerificationFault::Repeated)),
    ),
    (
        "forged",
        |lines, at| lines[at] = altered_entry(&lines[at]),
        |k, _| Some((ExportLocation::Entry(k), VerificationFault::Changed)),
    ),
];

/// Verification finds each change of each entry and names the entry.
#[tokio::test(flavor = "multi_thread")]
async fn detects_every_change_of_an_entry() {
    let migration = migration_with_long_trail().await;
    let (export, key) = (export(shared(), &migration.path("/audit")).await, key(shared()).await);
    let whole = verify(&export, Some(&key)).unwrap();
    let n = whole.hashes.len();
    assert!(n >= 200, "{n}");
    let lines = lines(&export);
    assert_eq!(lines.len(), n + 2);
    let mut start = 0;
    for (at, line) in lines.iter().enumerate() {
        // One bit in many places, also in the line's end, where the next line begins.
        let places = (0..=line.len()).step_by(line.len() / 12).chain([line.len() - 1, line.len() - 70, line.len()]);
        for place in places {
            let mut flipped = export.clone();
            flipped[start + place] ^= 1 << ((at + place) % 8);
            let what = format!("a bit of line {at}, at {place}");
            let last = place == line.len();
            match at {
                0 if last => check(&flipped, None, ExportLocation::Entry(1), VerificationFault::Missing, &what),
                0 => check(&flipped, None, ExportLocation::Header, VerificationFault::Changed, &what),
                _ if at == n && last => check(&flipped, None, ExportLocation::Head, VerificationFault::Changed, &what),
                _ if at <= n => {
                    check(&flipped, None, ExportLocation::Entry(at as u64), VerificationFault::Changed, &what)
                }
                _ => assert_eq!(verify(&flipped, None).unwrap_err().location, ExportLocation::Head, "{what}"),
            }
        }
        start += line.len() + 1;
    }
    for (what, tamper, expected) in TAMPERS {
        for at in 1..=n {
            let Some((place, why)) = expected(at as u64, n as u64) else { continue };
            let mut tampered = lines.clone();
            tamper(&mut tampered, at);
            check(&joined(&tampered), Some(&key), place, why, &format!("entry {at} {what}"));
        }
    }
}

/// Verifies heads, keys, exports of other trails, and extensions of a trail.
#[tokio::test(flavor = "multi_thread")]
async fn accepts_one_scope_and_one_key_only() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let other = shared().register(None, &["Counterparties"]).await;
    let key = key(shared()).await;
    let early = export(shared(), &migration.path("/audit")).await;
    set_mapper(&migration, "berka").await;
    set_mapper(&other, "berka").await;
    let late = export(shared(), &migration.path("/audit")).await;
    let [early_verified, late_verified] = [&early, &late].map(|export| verify(export, Some(&key)).unwrap());
    assert_eq!((early_verified.hashes.len(), late_verified.hashes.len()), (1, 2));
    extends(&late_verified, &early_verified).unwrap();
    let back = extends(&early_verified, &late_verified).unwrap_err();
    assert_eq!((back.location, back.fault), (ExportLocation::Entry(2), VerificationFault::RolledBack));

    // A trail that another key signed: only an auditor with the pinned key finds it.
    let stranger = Signer::new(&[9; 32]);
    let mut lines = lines(&late);
    let (head, _) = Head::read(&lines[3], None).unwrap();
    let own = lines.clone();
    lines[0] = header(head.scope, &stranger.public()).into_bytes();
    lines[3] = head.sign(&stranger).into_bytes();
    assert_eq!(verify(&joined(&lines), None).unwrap().key, stranger.public());
    check(&joined(&lines), Some(&key), ExportLocation::Head, VerificationFault::UnknownKey, "another key");
    let mut mixed = own.clone();
    mixed[0] = lines[0].clone();
    check(&joined(&mixed), Some(&key), ExportLocation::Header, VerificationFault::Changed, "another key in the header");
    let text = String::from_utf8(own[3].clone()).unwrap();
    mixed = own.clone();
    mixed[3] = text.replace("\"entries\":2", "\"entries\":1").into_bytes();
    check(
        &joined(&mixed),
        Some(&key),
        ExportLocation::Head,
        VerificationFault::WrongSignature,
        "another number of entries",
    );

    // An entry of another migration, which is valid in its own trail.
    mixed = own.clone();
    mixed[2] = self::lines(&export(shared(), &other.path("/audit")).await)[2].clone();
    check(&joined(&mixed), Some(&key), ExportLocation::Entry(2), VerificationFault::Foreign, "another's entry");
    // An additional entry with a correct hash and without a signature.
    let last = Link::read(&own[2]).unwrap();
    let entry = AuditEntry::new(Actor::Operator, Action::MapperSet);
    let (_, line) = Link::append(last.scope, 3, last.hash, &entry);
    mixed = own.clone();
    mixed.insert(3, line.into_bytes());
    check(&joined(&mixed), Some(&key), ExportLocation::Entry(3), VerificationFault::Added, "an entry more");
    // A trail with new hashes from the first entry on.
    let (first, first_line) = Link::append(last.scope, 1, Digest::default(), &entry);
    let (_, second_line) = Link::append(last.scope, 2, first.hash, &entry);
    mixed = own;
    (mixed[1], mixed[2]) = (first_line.into_bytes(), second_line.into_bytes());
    check(&joined(&mixed), Some(&key), ExportLocation::Entry(2), VerificationFault::Changed, "chained anew");
    check(b"", None, ExportLocation::Header, VerificationFault::Changed, "nothing at all");
}

fn begin(data_dir: &Path) -> (&'static Server, oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let options = Options {
        data_dir: data_dir.to_owned(),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let (server, ended) = start(options, async { stopped.await.unwrap_or_default() });
    (Box::leak(Box::new(server)), stop, ended)
}

/// Returns action, outcome and the other required members of entries.
fn summaries(items: &[Value]) -> Vec<String> {
    let word = |item: &Value, name: &str| item[name].as_str().map(|word| format!(" {word}")).unwrap_or_default();
    let summary = |item: &Value| {
        let members = ["outcome", "code", "kind", "state", "stream"].map(|name| word(item, name)).concat();
        format!("{}{members}", item["action"].as_str().unwrap())
    };
    items.iter().map(summary).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_every_action_of_a_migration() {
    let dir = tempfile::tempdir().unwrap();
    let (server, stop, ended) = begin(dir.path());
    let migration = server.register(None, &["Counterparties"]).await;
    set_mapper(&migration, "berka").await;
    let body = client(77_001) + "{\"client_id\":77002}\nno client\n";
    migration.source("client", body.clone()).await;
    let lender = Lender::of(&migration);
    put(&migration, PATH, TYPE, &[lender.record(TYPE, 3), lender.record(TYPE, 6)]).await;
    remove(&migration, PATH, TYPE, lender.id(TYPE, 6)).await;
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded");
    }
    let page = migration.get("/audit?limit=100").await;
    let items = page["items"].as_array().unwrap();
    let expected = [
        "MIGRATION_REGISTERED done",
        "MAPPER_SET done",
        "UPLOAD_BEGUN done client",
        "UPLOAD_ENDED done client",
        "UPLOAD_BEGUN done counterparties",
        "UPLOAD_ENDED done counterparties",
        "RECORDS_DELETED done counterparties",
        "JOB_STARTED done validate",
        "JOB_ENDED done validate succeeded",
        "JOB_STARTED done import",
        "JOB_ENDED done import succeeded",
        "JOB_STARTED done counts",
        "JOB_ENDED done counts succeeded",
    ];
    assert_eq!((summaries(items), &page["total"]), (expected.map(str::to_owned).to_vec(), &json!(13)));
    let upload = &items[3];
    assert_eq!(upload["body"], Digest::of(body.as_bytes()).to_string());
    let figures =
        json!({"bytes": body.len(), "records": 3, "accepted": 1, "skipped": 0, "rejected": 2, "quarantined": 0});
    assert_eq!((&upload["figures"], &upload["upload"]), (&figures, &json!(1)));
    assert_eq!((upload["plugins"].as_array().unwrap().len(), &upload["actor"]), (2, &items[0]["actor"]));
    assert!(upload["actor"]["client"].is_string(), "{upload}");
    assert_eq!(items[8]["actor"], "server");
    assert_eq!(migration.get("/audit?limit=1&offset=3").await["items"][0], *upload);
    let trail = export(server, &migration.path("/audit")).await;
    for value in ["77001", "706213", "Pek"] {
        assert!(!String::from_utf8_lossy(&trail).contains(value), "the trail has {value} of a record");
    }

    purge(&migration).await;
    stop.send(()).unwrap();
    tokio::task::spawn_blocking(move || ended.join().unwrap()).await.unwrap();
    // The trail outlives the migration. The server's own trail has the registration and the purge.
    let store = Catalog::open(&dir.path().join("catalogue.db")).unwrap();
    let of = |scope| {
        let (lines, _) = store.audit_lines(scope, Pagination { offset: 0, limit: 100 }).unwrap();
        let items: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        summaries(&items)
    };
    let after = of(AuditScope::Migration(migration.id.parse().unwrap()));
    assert_eq!((after.len(), after[13].as_str()), (14, "MIGRATION_PURGED done"));
    assert_eq!(of(AuditScope::Server), ["SERVER_STARTED done", "CLIENT_MADE done", "SERVER_STOPPED done"]);
    drop(store);

    let (server, stop, ended) = begin(dir.path());
    let own = export(server, "/audit").await;
    let verified = verify(&own, Some(&key(server).await)).unwrap();
    assert_eq!(
        (verified.scope, verified.hashes.len()),
        (AuditScope::Server, 4),
        "the trail continues with the same key"
    );
    assert_eq!(server.get("/audit").await.json()["total"], 4);
    stop.send(()).unwrap();
    tokio::task::spawn_blocking(move || ended.join().unwrap()).await.unwrap();
}
