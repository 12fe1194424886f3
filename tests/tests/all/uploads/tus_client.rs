//! The public tus client from npm against `sluice serve`: an upload that is interrupted twenty times, in part by
//! killing the server, arrives completely.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use sluice_data_dir::ADMIN_FILE;
use sluice_model::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::recorded_server::command;
use crate::harness::server::{Migration, Server};
use crate::harness::tools;
use crate::uploads::tus_requests::{clients, ended, records};

/// The npm package of the client, and its version.
const CLIENT: &str = "tus-js-client@4.3.1";

/// A script that uploads a file over as many connections as needed and prints the upload's path.
const SCRIPT: &str = "
const { createReadStream } = require('node:fs');
const tus = require('tus-js-client');
const [file, endpoint, token] = process.argv.slice(2);
const upload = new tus.Upload(createReadStream(file), {
  endpoint,
  chunkSize: Infinity,
  retryDelays: Array(400).fill(25),
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: 'client.jsonl', filetype: 'application/jsonl' },
  onError(error) { console.error(String(error)); process.exit(1); },
  onSuccess() { console.log(new URL(upload.url).pathname); },
});
upload.start();
";

/// Number of interruptions. Each fourth one kills the server.
const CUTS: usize = 20;
const KILLS: usize = 4;

/// Returns a random number from a seed (SplitMix64).
fn chance(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Starts a server process, and returns it with its address.
fn serve(dir: &Path) -> (Child, String) {
    let mut serve = Command::new(command());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.join("data"));
    let mut child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended before it was ready");
        if let Some((_, rest)) = line.split_once("ready at http://") {
            break rest.split([',', '"', ' ']).next().unwrap().to_owned();
        }
    };
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    (child, address)
}

/// A proxy between client and server that interrupts connections.
struct InterruptingProxy {
    dir: std::path::PathBuf,
    server: Mutex<(Child, String)>,
    /// Byte counts at which it interrupts, ascending.
    places: Vec<u64>,
    through: AtomicU64,
    cuts: AtomicUsize,
}

impl InterruptingProxy {
    async fn stand(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let between = self.clone();
            tokio::spawn(async move { between.carry(client).await });
        }
    }

    /// Forwards a connection until either side ends it or the proxy interrupts it.
    async fn carry(&self, mut client: TcpStream) {
        let address = self.server.lock().unwrap().1.clone();
        let Ok(mut server) = TcpStream::connect(address).await else { return };
        let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
        loop {
            tokio::select! {
                read = client.read(&mut up) => {
                    let Ok(bytes @ 1..) = read else { return };
                    let through = self.through.fetch_add(bytes as u64, Ordering::SeqCst) + bytes as u64;
                    let cut = self.cuts.load(Ordering::SeqCst);
                    if self.places.get(cut).is_some_and(|place| *place <= through) {
                        self.cuts.store(cut + 1, Ordering::SeqCst);
                        // Half of the last bytes arrive.
                        let _ = server.write_all(&up[..bytes / 2]).await;
                        if cut % KILLS == KILLS - 1 {
                            self.kill();
                        }
                        return;
                    }
                    if server.write_all(&up[..bytes]).await.is_err() {
                        return;
                    }
                }
                read = server.read(&mut down) => {
                    let Ok(bytes @ 1..) = read else { return };
                    if client.write_all(&down[..bytes]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Kills the server (SIGKILL), and starts another on its directory.
    fn kill(&self) {
        let mut server = self.server.lock().unwrap();
        server.0.kill().unwrap();
        server.0.wait().unwrap();
        *server = serve(&self.dir);
    }
}

impl Drop for InterruptingProxy {
    fn drop(&mut self) {
        let (child, _) = self.server.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completes_an_upload_with_twenty_interruptions() {
    let client = tempfile::tempdir().unwrap();
    let check = format!("node --version && npm view {} {CLIENT} version", tools::NPM_FETCH);
    if !tools::available(&tools::NPM, "uploads::tus_client::completes_an_upload_with_twenty_interruptions", &check) {
        return;
    }
    let mut install = Command::new("npm");
    install.args(["install", "--no-fund", "--no-audit", CLIENT]).current_dir(client.path());
    let install = install.output().unwrap();
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let dir = tempfile::tempdir().unwrap();
    let body = clients(1..=120_000);
    let file = client.path().join("client.jsonl");
    std::fs::write(&file, &body).unwrap();
    std::fs::write(client.path().join("send.js"), SCRIPT).unwrap();
    for seed in [1, 2] {
        let home = dir.path().join(seed.to_string());
        std::fs::create_dir(&home).unwrap();
        let mut drawn = seed;
        let mut places: Vec<u64> = (0..CUTS).map(|_| chance(&mut drawn) % (body.len() as u64)).collect();
        places.sort_unstable();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let started = serve(&home);
        let direct = format!("http://{}", started.1);
        let between = Arc::new(InterruptingProxy {
            dir: home.clone(),
            server: Mutex::new(started),
            places,
            through: AtomicU64::new(0),
            cuts: AtomicUsize::new(0),
        });
        // Requests of the setup bypass the proxy.
        let known = |url: String, token: String| -> &'static Server {
            let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
            Box::leak(Box::new(Server { url, data_dir: home.join("data"), client: http, token }))
        };
        let credentials = std::fs::read_to_string(home.join("data").join(ADMIN_FILE)).unwrap();
        let (id, secret) = credentials.trim().split_once(':').unwrap();
        let token = known(direct.clone(), String::new()).token_of(id, secret).await;
        let first = known(direct, token.clone());
        let plain = first.register(Some("berka"), &["Counterparties"]).await;
        assert_eq!(plain.source("client", body.clone()).await.lines().len(), 120_000);
        let expected = records(&plain).await;
        let resumed = first.register(Some("berka"), &["Counterparties"]).await;

        let standing = tokio::spawn(between.clone().stand(listener));
        let endpoint = format!("{url}{}", resumed.path("/sources/client/uploads"));
        let mut node = Command::new("node");
        node.current_dir(client.path()).arg("send.js").arg(&file).args([&endpoint, &token]);
        let sent = tokio::task::spawn_blocking(move || node.output().unwrap()).await.unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&sent.stderr));
        assert!(sent.status.success(), "seed {seed}: {said}{wrong}");
        assert_eq!(between.cuts.load(Ordering::SeqCst), CUTS, "seed {seed}");

        // Kills the server once more, before or during its work on the upload.
        tokio::task::block_in_place(|| between.kill());
        let last = between.server.lock().unwrap().1.clone();
        let resumed = Migration { server: known(format!("http://{last}"), token.clone()), id: resumed.id };
        let shown = ended(&resumed, said.trim()).await;
        assert_eq!(shown["figures"]["body"], Digest::of(body.as_bytes()).to_string(), "seed {seed}: {shown}");
        assert_eq!(
            (&shown["figures"]["records"], &shown["figures"]["accepted"]),
            (&json!(120_000), &json!(120_000)),
            "seed {seed}: {shown}"
        );
        assert!(records(&resumed).await == expected, "seed {seed}: the staged records differ");
        let staged = resumed.staged("counterparty-management", "counterparties").await;
        assert_eq!(staged.len(), 120_000, "seed {seed}");
        println!("seed {seed}: {CUTS} cuts, {} of them kills: sources equal", CUTS / KILLS);
        standing.abort();
    }
}
