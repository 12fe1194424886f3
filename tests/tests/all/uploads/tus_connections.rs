//! Resumable uploads over time: interrupted connections, waiting, limits, and restarts.

use serde_json::{Value, json};
use sluice_config::Config;
use sluice_server::app::Options;

use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{Migration, Server, shared, start};
use crate::server::restart::{at, begin_with};
use crate::uploads::tus_requests::{PART, begin, clients, code, ended, lines, migration, offset, part, records, tus};

/// Writes a part without its end, and leaves the connection open.
async fn send_without_end(migration: &Migration, upload: &str, at: u64, bytes: &str, length: usize) -> RawRequest {
    let headers = format!("{PART}\r\ntus-resumable: 1.0.0\r\nupload-offset: {at}");
    let mut raw = RawRequest::begin("PATCH", migration.server, upload, &headers, Length::Declared(length)).await;
    raw.send(bytes).await;
    raw
}

/// Bytes before an interruption are kept, and a new request need not wait for a hanging one.
#[tokio::test(flavor = "multi_thread")]
async fn survives_interrupted_and_hanging_connections() {
    let body = clients(1..=10);
    for hangs in [false, true] {
        let migration = migration(shared()).await;
        let upload = begin(&migration, body.len(), &lines()).await;
        let raw = send_without_end(&migration, &upload, 0, &body[..200], body.len()).await;
        let hanging = if hangs {
            Some(raw)
        } else {
            raw.cut().await;
            None
        };
        // Bytes in transit may arrive or not: the client asks for the offset.
        let mut have = 0;
        while have < 200 {
            have = offset(&migration, &upload).await;
            if have < 200 {
                let missing = body[have as usize..200].to_owned();
                let sent = part(&migration, &upload, have, missing, &[]).await;
                assert!([204, 409, 423].contains(&sent.status().as_u16()), "{}", sent.status());
            }
        }
        drop(hanging);
        assert_eq!(part(&migration, &upload, 200, body[200..].to_owned(), &[]).await.status().as_u16(), 204);
        assert_eq!(ended(&migration, &upload).await["figures"]["accepted"], 10);
    }
    // A part with a checksum is kept completely or not at all.
    let migration = migration(shared()).await;
    let upload = begin(&migration, body.len(), &lines()).await;
    let headers = format!(
        "{PART}\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\nupload-checksum: sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk="
    );
    let mut raw = RawRequest::begin("PATCH", shared(), &upload, &headers, Length::Declared(body.len())).await;
    raw.send(&body[..200]).await;
    raw.cut().await;
    assert_eq!(offset(&migration, &upload).await, 0);
}

/// An upload waits for earlier work of its migration. Afterwards, the records of both are staged.
#[tokio::test(flavor = "multi_thread")]
async fn processes_uploads_one_after_the_other() {
    let migration = migration(shared()).await;
    let path = migration.path("/sources/client");
    let mut open = RawRequest::put(shared(), &path, "application/jsonl", Length::Chunked).await;
    open.send(clients(1..=1)).await;
    assert_eq!(open.line().await.unwrap()["outcome"], "mapped");
    let body = clients(1..=5);
    let mut uploads = vec![];
    for _ in 0..2 {
        let upload = begin(&migration, body.len(), &lines()).await;
        assert_eq!(part(&migration, &upload, 0, body.clone(), &[]).await.status().as_u16(), 204);
        assert_eq!(shared().get(&upload).await.json()["state"], "waiting");
        uploads.push(upload);
    }
    open.end().await;
    assert_eq!(open.line().await, None);
    for (upload, number) in uploads.iter().zip([2, 3]) {
        let shown = ended(&migration, upload).await;
        assert_eq!(
            (&shown["figures"]["number"], &shown["figures"]["accepted"]),
            (&json!(number), &json!(5)),
            "{shown}"
        );
    }
    // The second upload is identical, and is recognised.
    let log = migration.get("/logs?code=UPLOAD_ENDED").await;
    let changed: Vec<&Value> =
        log["items"].as_array().unwrap().iter().map(|entry| &entry["figures"]["changed"]).collect();
    let mut sorted: Vec<u64> = changed.iter().map(|changed| changed.as_u64().unwrap()).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 4], "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn enforces_limits_and_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.upload.resumable_uploads = 2;
    config.upload.resumable_bytes = 1_000;
    let options = Options { data_dir: dir.path().into(), config, mappers: vec![], worker: crate::harness::worker() };
    let server: &'static Server = Box::leak(Box::new(start(options, std::future::pending()).0));
    let migration = migration(server).await;
    let path = migration.path("/sources/client/uploads");
    let post = async |length: &str| {
        let said = [("upload-length", length), ("upload-metadata", &*lines())];
        tus(&migration, "POST", &path, &said, "").await
    };
    let one = begin(&migration, 600, &lines()).await;
    assert_eq!(code(post("401").await).await, (413, "TOO_MANY_UPLOAD_BYTES".into()));
    assert_eq!(post("400").await.status().as_u16(), 201);
    assert_eq!(code(post("1").await).await, (409, "TOO_MANY_UPLOADS".into()));
    assert_eq!(tus(&migration, "DELETE", &one, &[], "").await.status().as_u16(), 204);
    assert_eq!(post("1").await.status().as_u16(), 201);
    // Another migration has limits of its own. A purged one has no uploads and accepts none.
    let other = self::migration(server).await;
    let upload = begin(&other, 600, &lines()).await;
    assert_eq!(part(&other, &upload, 0, "canary", &[]).await.status().as_u16(), 204);
    let folder = other.directory().join("uploads");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(tus(&other, "DELETE", &other.path(""), &[], "").await.status().as_u16(), 204);
    assert!(!folder.exists());
    assert_eq!(code(part(&other, &upload, 6, "more", &[]).await).await, (409, "MIGRATION_PURGED".into()));
}

/// A stopping server keeps received bytes. The next start processes complete uploads.
#[tokio::test(flavor = "multi_thread")]
async fn resumes_uploads_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options {
        data_dir: dir.path().join("data"),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let body = clients(1..=2_000);
    let life = begin_with(options());
    let migration = migration(life.server).await;
    let upload = begin(&migration, body.len(), &lines()).await;
    assert_eq!(part(&migration, &upload, 0, body[..1_000].to_owned(), &[]).await.status().as_u16(), 204);
    let hanging = send_without_end(&migration, &upload, 1_000, &body[1_000..3_000], body.len() - 1_000).await;
    life.end().await;
    drop(hanging);

    let life = begin_with(options());
    let migration = at(life.server, &migration);
    let have = offset(&migration, &upload).await;
    assert!((1_000..=3_000).contains(&have), "{have}");
    // The upload completes while another one is open, and the server stops before it processes it.
    let path = migration.path("/sources/client");
    let mut open = RawRequest::put(life.server, &path, "application/jsonl", Length::Chunked).await;
    open.send(clients(1..=1)).await;
    assert_eq!(open.line().await.unwrap()["outcome"], "mapped");
    let rest = body[have as usize..].to_owned();
    assert_eq!(part(&migration, &upload, have, rest, &[]).await.status().as_u16(), 204);
    assert_eq!(life.server.get(&upload).await.json()["state"], "waiting");
    open.cut().await;
    life.end().await;

    let life = begin_with(options());
    let migration = at(life.server, &migration);
    let shown = ended(&migration, &upload).await;
    assert_eq!((&shown["figures"]["accepted"], &shown["problem"]), (&json!(2_000), &Value::Null), "{shown}");
    assert_eq!(records(&migration).await, body);
    let kept: Vec<_> = std::fs::read_dir(migration.directory().join("uploads")).unwrap().collect();
    let folder = kept[0].as_ref().unwrap().path();
    assert!(!folder.join("bytes.sealed").exists(), "processed records are staged");
    life.end().await;

    // The upload was idle for four days.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(4 * 24 * 60 * 60);
    std::fs::File::open(folder.join("about.sealed")).unwrap().set_modified(old).unwrap();
    let life = begin_with(options());
    let migration = at(life.server, &migration);
    assert_eq!(life.server.get(&upload).await.problem(), (404, "NO_SUCH_UPLOAD".into()));
    assert_eq!(records(&migration).await, body);
    life.end().await;
}

/// A creation is sent again with its key, because the server was killed before it answered. No second upload is
/// created, at any point of the kill.
#[tokio::test(flavor = "multi_thread")]
async fn creates_one_upload_for_a_repeated_request() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let mut config = Config::default();
    config.upload.resumable_uploads = 1;
    let options = || Options {
        data_dir: data_dir.clone(),
        config: config.clone(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let mut life = begin_with(options());
    let mut migration = migration(life.server).await;
    let (path, metadata) = (migration.path("/sources/client/uploads"), lines());
    let said = [("upload-length", "5"), ("upload-metadata", &*metadata), ("idempotency-key", "once")];
    let location = async |migration: &Migration| {
        let response = tus(migration, "POST", &path, &said, "").await;
        assert_eq!((response.status().as_u16(), response.headers().get("idempotent-replayed")), (201, None));
        response.headers()["location"].to_str().unwrap().to_owned()
    };
    let first = location(&migration).await;
    let id: uuid::Uuid = first.rsplit('/').next().unwrap().parse().unwrap();
    let folder = migration.directory().join("uploads").join(id.to_string());
    for left in ["all of it", "its files, and nothing known of it", "its folder", "nothing"] {
        life.end().await;
        let catalogue = rusqlite::Connection::open(data_dir.join("catalogue.db")).unwrap();
        let unanswered = "UPDATE idempotency SET status = NULL, location = NULL, body = ?";
        assert_eq!(catalogue.execute(unanswered, [id.as_bytes()]).unwrap(), 1);
        drop(catalogue);
        match left {
            "all of it" => {}
            "its files, and nothing known of it" => std::fs::remove_file(folder.join("about.sealed")).unwrap(),
            other => {
                std::fs::remove_dir_all(&folder).unwrap();
                if other == "its folder" {
                    std::fs::create_dir(&folder).unwrap();
                }
            }
        }
        life = begin_with(options());
        migration = at(life.server, &migration);
        assert_eq!(location(&migration).await, first, "{left}");
        assert_eq!(offset(&migration, &first).await, 0, "{left}");
        assert_eq!(std::fs::read_dir(migration.directory().join("uploads")).unwrap().count(), 1, "{left}");
    }
    life.end().await;
}

/// Returns the files below a folder that this process has open.
fn open_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().map(|link| std::fs::read_link(link.unwrap().path()));
    links.flatten().filter(|file| file.starts_with(folder)).collect()
}

/// Idle uploads hold no open files, in any number, before and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_uploads_hold_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options {
        data_dir: dir.path().join("data"),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let body = clients(1..=3);
    let mut life = begin_with(options());
    assert!(!open_below(dir.path()).is_empty(), "the catalogue is open");
    let mut migration = migration(life.server).await;
    let mut uploads = vec![];
    for _ in 0..20 {
        uploads.push(begin(&migration, body.len(), &lines()).await);
    }
    for sent in 0..3 {
        for upload in &uploads {
            let answer = part(&migration, upload, sent, body[sent as usize..][..1].to_owned(), &[]).await;
            assert_eq!(answer.status().as_u16(), 204);
            assert_eq!(life.server.get(upload).await.json()["offset"], sent + 1);
        }
        let open = open_below(&migration.directory().join("uploads"));
        assert!(open.is_empty(), "{open:?}");
        life.end().await;
        life = begin_with(options());
        migration = at(life.server, &migration);
    }
    for upload in &uploads {
        assert_eq!(part(&migration, upload, 3, body[3..].to_owned(), &[]).await.status().as_u16(), 204);
        assert_eq!(ended(&migration, upload).await["figures"]["accepted"], 3);
    }
    assert_eq!(records(&migration).await, body);
    life.end().await;
}
