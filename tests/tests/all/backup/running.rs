//! Backups during uploads and imports: each backup has every record that was acknowledged before it began.

use serde_json::{Value, json};

use super::{BackupFolder, run_remaining_steps};
use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{ALL, Migration};
use crate::server::concurrent_migrations::stage_many;
use crate::server::restart::at;
use crate::uploads::tus_requests::{begin, clients, ended, lines, offset, part};

/// A generator of random numbers with a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Returns the client numbers of staged source records.
fn numbers(records: &str) -> Vec<u64> {
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["client_id"].as_u64().unwrap();
    let mut numbers: Vec<u64> = records.lines().map(number).collect();
    numbers.sort_unstable();
    numbers
}

async fn records(migration: &Migration) -> Vec<u64> {
    numbers(&migration.server.get(&migration.path("/sources/client/records")).await.body)
}

/// Makes backups during an upload, a resumable upload and an import. None of them is disturbed. Every record that was
/// acknowledged before a backup began is in it once, and a restored server continues to verified counts.
#[tokio::test(flavor = "multi_thread")]
async fn backs_up_during_uploads_and_imports() {
    const ROUNDS: u64 = 5;
    let (place, mut chance) = (BackupFolder::new(), Random(11));
    let life = place.begin("data");
    let many = life.server.register(None, ALL).await;
    stage_many(&many).await;
    assert_eq!(many.job("validate").await["state"], "succeeded");
    let loading = life.server.register(Some("berka"), &["Counterparties"]).await;
    let parts = life.server.register(Some("berka"), &["Counterparties"]).await;
    let body = clients(1..=2_000);
    let upload = begin(&parts, body.len(), &lines()).await;
    let mut sending =
        RawRequest::put(life.server, &loading.path("/sources/client"), "application/jsonl", Length::Chunked).await;
    let (mut sent, mut came) = (0, 0);
    let mut taken = vec![];
    for round in 0..ROUNDS {
        let next = sent + 1 + chance.below(3_000);
        for from in (sent + 1..=next).step_by(500) {
            sending.send(clients(from..=next.min(from + 499))).await;
        }
        for _ in sent..next - chance.below(next - sent) {
            assert_eq!(sending.line().await.unwrap()["isSuccessful"], true);
            came += 1;
        }
        sent = next;
        let at = offset(&parts, &upload).await as usize;
        let until = if round + 1 == ROUNDS { body.len() } else { at + chance.below((body.len() - at) as u64) as usize };
        assert_eq!(part(&parts, &upload, at as u64, body[at..until].to_owned(), &[]).await.status().as_u16(), 204);
        // The first backups run during an import, the last ones during an import without work.
        let job = many.start("import").await;
        let name = format!("backup-{round}");
        std::thread::scope(|scope| scope.spawn(|| place.backup(&name)).join().unwrap());
        assert_eq!(many.ended(job).await["state"], "succeeded");
        taken.push((name, came, sent, until as u64));
        // Results that the client received meanwhile.
        while came < sent {
            assert_eq!(sending.line().await.unwrap()["isSuccessful"], true);
            came += 1;
        }
    }
    sending.end().await;
    assert_eq!(sending.line().await, None, "the backup does not disturb the upload");
    assert_eq!(ended(&parts, &upload).await["figures"]["accepted"], 2_000);
    for migration in [&many, &loading, &parts] {
        run_remaining_steps(migration).await;
    }
    life.end().await;
    for (name, acknowledged, sent, offset_then) in taken {
        let data = format!("restored-{name}");
        let said = place.restore(&name, &data);
        assert!(said["migrations"].as_array().unwrap().iter().all(|found| found["state"] == "opened"), "{said}");
        let life = place.begin(&data);
        let [many, loading, parts] = [&many, &loading, &parts].map(|migration| at(life.server, migration));
        let there = records(&loading).await;
        assert!(there.len() as u64 >= acknowledged, "{name}: {} of {acknowledged}", there.len());
        assert!(
            there.iter().copied().eq(1..=there.len() as u64),
            "{name}: the backup has each record once and in order"
        );
        let again = loading.source("client", clients(1..=sent)).await.lines();
        assert!(again.iter().all(|result| result["isSuccessful"] == true), "{name}");
        let mut at = offset(&parts, &upload).await;
        assert!(at >= offset_then, "{name}: {at} bytes of {offset_then}");
        if at < body.len() as u64 {
            let rest = body[at as usize..].to_owned();
            assert_eq!(part(&parts, &upload, at, rest, &[]).await.status().as_u16(), 204, "{name}");
            at = body.len() as u64;
        }
        assert_eq!(
            (ended(&parts, &upload).await["figures"]["accepted"].clone(), at),
            (json!(2_000), body.len() as u64),
            "{name}"
        );
        for (migration, expected) in [(&many, 30_000), (&loading, sent), (&parts, 2_000)] {
            run_remaining_steps(migration).await;
            assert_eq!(migration.get("").await["numberOfImportedEntities"], expected, "{name}");
        }
        life.end().await;
    }
}
