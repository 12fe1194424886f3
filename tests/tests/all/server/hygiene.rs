//! Hygiene of a server: browsers, connections, secrets, files of its machine, and text for terminals.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::json;
use sluice_config::Config;
use sluice_server::app::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::recorded_server::command;
use crate::harness::server::{Server, shared, start};

/// Starts a server with its own limits, which runs until the process ends.
fn server(change: impl FnOnce(&mut Config)) -> &'static Server {
    let mut config = Config::default();
    change(&mut config);
    let data_dir = tempfile::tempdir().unwrap().keep().join("data");
    let options = Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() };
    Box::leak(Box::new(start(options, std::future::pending()).0))
}

/// Every kind of response has the header fields that tell a browser what it may do.
#[tokio::test(flavor = "multi_thread")]
async fn every_response_restricts_browsers() {
    let server = shared();
    let plain = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    // Method, path, with a token, `Accept`, status, and the beginning of the policy.
    let browser = "default-src 'none'; script-src 'self'; ";
    let page = "default-src 'none'; style-src 'sha256-";
    for (method, path, token, accept, status, policy) in [
        ("GET", "/docs/", false, "text/html", 200, browser),
        ("GET", "/docs/swagger-ui.css", false, "*/*", 200, browser),
        ("GET", "/docs/swagger-ui-bundle.js", false, "*/*", 200, browser),
        ("GET", "/docs/absent", false, "*/*", 404, browser),
        ("GET", "/openapi.json", false, "*/*", 200, plain),
        ("GET", "/problems/NOT_VALIDATED", false, "text/html", 200, page),
        ("GET", "/problems/NOT_VALIDATED", false, "application/json", 200, plain),
        ("GET", "/problems/NONE", false, "text/html", 404, plain),
        ("GET", "/schemas/counterparties", false, "*/*", 200, plain),
        ("GET", "/health/live", false, "*/*", 200, plain),
        ("GET", "/health/ready", false, "*/*", 200, plain),
        ("POST", "/oauth2/token", false, "*/*", 400, plain),
        ("GET", "/authentication/token/north/x", false, "*/*", 400, plain),
        ("GET", "/migration-assistance/migrations", false, "*/*", 401, plain),
        ("GET", "/migration-assistance/migrations", true, "*/*", 200, plain),
        ("GET", "/migration-assistance/migrations/none", true, "*/*", 404, plain),
        ("PATCH", "/migration-assistance/migrations", true, "*/*", 405, plain),
        ("GET", "/metrics", true, "*/*", 200, plain),
        ("GET", "/absent", true, "*/*", 404, plain),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = server.anonymous(method.clone(), path).header("accept", accept);
        if token {
            request = request.bearer_auth(&server.token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        let field = |name: &str| {
            let all: Vec<&str> = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(all.len(), 1, "{method} {path} {name}: {all:?}");
            all[0].to_owned()
        };
        assert!(field("content-security-policy").starts_with(policy), "{path}: {}", field("content-security-policy"));
        assert_eq!(field("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(field("x-frame-options"), "DENY", "{path}");
        assert_eq!(field("referrer-policy"), "no-referrer", "{path}");
        let policy = field("content-security-policy");
        let body = response.text().await.unwrap();
        if path == "/docs/" {
            let scripts: Vec<&str> = body.split("<script").skip(1).collect();
            assert!(!scripts.is_empty() && scripts.iter().all(|script| script.contains("src=")), "{body}");
        }
        if policy.contains("sha256-") {
            let style = body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
            let digest =
                BASE64_STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes()));
            assert!(policy.contains(&format!("'sha256-{digest}'")), "the policy allows the page's own style: {policy}");
            assert!(!body.contains("<script"), "{body}");
        }
    }
}

/// Returns the status of a request from another loopback address.
async fn ask_from(address: &str, server: &Server) -> std::io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{address}:0").parse().unwrap())?;
    let mut stream = socket.connect(server.url.strip_prefix("http://").unwrap().parse().unwrap()).await?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// One address opens more connections than a server has, and says nothing. Others are answered, and the silent ones end.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_shut_nobody_out() {
    let server = server(|config| {
        config.http.connections = 40;
        config.http.connections_per_address = 20;
        config.http.head_seconds = 1;
        config.http.idle_seconds = 1;
    });
    let address: std::net::SocketAddr = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut silent = vec![];
    for number in 0..60 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            // A connection that was used once is as idle as one that never was.
            let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
        }
        silent.push(stream);
    }
    assert_eq!(ask_from("127.0.0.2", server).await.unwrap(), "200", "another address is answered");
    let began = Instant::now();
    for stream in &mut silent {
        // The server ends each of them; a refused one ends at once.
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut vec![])).await;
        assert!(ended.is_ok(), "a connection stays open for {:?}", began.elapsed());
    }
    let answer = server.send(server.anonymous(Method::GET, "/health/live")).await;
    assert_eq!(answer.status, 200, "the address has connections again");
}

/// Wrong secrets make a client wait, and its address. Others do not wait.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_have_to_wait() {
    let server = server(|config| {
        config.access.wrong_secrets = 3;
        config.access.wrong_secrets_per_address = 6;
        config.access.backoff_seconds = 600;
    });
    let credentials = std::fs::read_to_string(server.data_dir.join(sluice_data_dir::ADMIN_FILE)).unwrap();
    let (id, secret) = credentials.trim().split_once(':').unwrap();
    let ask = async |id: &str, secret: &str| {
        let request = server.anonymous(Method::POST, "/oauth2/token").basic_auth(id, Some(secret));
        request.form(&[("grant_type", "client_credentials")]).send().await.unwrap()
    };
    let label = "3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10";
    let ask_label = async |id: &str, secret: &str| {
        let path = format!("/authentication/token/default/{label}");
        server.anonymous(Method::GET, &path).basic_auth(id, Some(secret)).send().await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(ask("client-000000000000", "wrong").await.status().as_u16(), 401);
    }
    for response in [ask("client-000000000000", "wrong").await, ask_label("client-000000000000", "wrong").await] {
        assert_eq!(response.status().as_u16(), 429);
        assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        let problem: serde_json::Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "TOO_MANY_WRONG_SECRETS");
    }
    // The harness got a token of this client from this address: its own failures do not shut it out of it.
    for _ in 0..2 {
        assert_eq!(ask_label(id, "wrong").await.status().as_u16(), 401);
    }
    assert_eq!(ask(id, secret).await.status().as_u16(), 200);
    // The sixth failure is that of the address, whatever the client.
    assert_eq!(ask(id, "wrong").await.status().as_u16(), 401);
    assert_eq!(ask(id, secret).await.status().as_u16(), 429);
    let live = server.send(server.request(Method::GET, "/migration-assistance/migrations")).await;
    assert_eq!(live.status, 200, "tokens stay valid");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Returns the files and directories below a directory that others can use.
fn open_to_others(dir: &Path) -> Vec<std::path::PathBuf> {
    let (mut folders, mut found) = (vec![dir.to_owned()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if mode(&path) & 0o077 != 0 {
                found.push(path.clone());
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// The data directory is private from the first command on, and again after each start.
#[test]
fn files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // The first client is made before the first start.
    let create = || {
        let mut client = Command::new(command());
        client.args(["client", "create", "--permission", "read", "--json", "--data-dir"]).arg(&data);
        assert!(client.output().unwrap().status.success());
    };
    create();
    assert_eq!((mode(&data), open_to_others(&data)), (0o700, vec![]));
    // An earlier version did not.
    let loosen =
        |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for _ in 0..2 {
        loosen(&data, 0o755);
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            loosen(&path, if path.is_dir() { 0o755 } else { 0o644 });
        }
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let options = Options { data_dir: data.clone(), worker: crate::harness::worker(), ..Options::default() };
        std::fs::write(data.join(sluice_data_dir::ADMIN_FILE), credentials(&data)).unwrap();
        let (server, thread) = start(options, async { stopped.await.unwrap_or_default() });
        assert_eq!((mode(&data), open_to_others(&data)), (0o700, vec![]));
        drop(server);
        drop(stop);
        thread.join().unwrap();
    }
    loosen(&data, 0o755);
    create();
    assert_eq!((mode(&data), open_to_others(&data)), (0o700, vec![]), "a command tightens as well");
}

/// Makes another client, and returns its id and secret as the harness reads them.
fn credentials(data: &Path) -> String {
    let mut client = Command::new(command());
    client.args(["client", "create", "--permission", "admin,migrate", "--json", "--data-dir"]).arg(data);
    let made: serde_json::Value = serde_json::from_slice(&client.output().unwrap().stdout).unwrap();
    format!("{}:{}", made["id"].as_str().unwrap(), made["secret"].as_str().unwrap())
}

/// A server whose disk is nearly full says so, and lives.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_sees_the_disk() {
    let server = server(|_| ());
    let full = Config {
        http: sluice_config::HttpLimits { ready_free_bytes: u64::MAX, ..Default::default() },
        ..Config::default()
    };
    let data_dir = tempfile::tempdir().unwrap().keep().join("data");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = Options { data_dir, config: full, mappers: vec![], worker: crate::harness::worker() };
    tokio::spawn(sluice_server::serve(listener, options, std::future::pending()));
    for (url, path, expected) in [
        (&server.url, "/health/ready", (200, None)),
        (&url, "/health/ready", (503, Some("DISK_FULL"))),
        (&url, "/health/live", (200, None)),
    ] {
        let response = server.client.get(format!("{url}{path}")).send().await.unwrap();
        let status = response.status().as_u16();
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!((status, body["code"].as_str()), expected, "{path}: {body}");
    }
}

/// Keys of an issuer that come slowly, or without an end, cost the server no more than its limits.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_issuer_are_bounded() {
    for endless in [true, false] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let jwks_url = format!("http://{}/keys", listener.local_addr().unwrap());
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = sent.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = counter.clone();
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4_096]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{").await;
                    while endless && stream.write_all(&[b' '; 65_536]).await.is_ok() {
                        counter.fetch_add(65_536, std::sync::atomic::Ordering::Relaxed);
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        let server = server(|config| {
            config.access.issuer = Some(sluice_config::Issuer { issuer: "i".into(), audience: "a".into(), jwks_url });
            config.access.issuer_bytes = 1 << 20;
            config.access.issuer_seconds = 2;
        });
        // A token whose key the server does not have: it reads the issuer's.
        let head = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"theirs"}"#);
        let began = Instant::now();
        let request = server.anonymous(Method::GET, "/migration-assistance/migrations");
        let answer = server.send(request.bearer_auth(format!("{head}.e30.c2ln"))).await;
        assert_eq!(answer.problem(), (503, "ISSUER_UNAVAILABLE".into()), "endless: {endless}");
        assert!(began.elapsed() < Duration::from_secs(20), "endless: {endless}");
        let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
        assert!(sent < 64 << 20, "the server read {sent} bytes");
    }
    let mut config = Config::default();
    let jwks_url = "http://id.example.com/keys".into();
    config.access.issuer = Some(sluice_config::Issuer { issuer: "i".into(), audience: "a".into(), jwks_url });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let data_dir = tempfile::tempdir().unwrap().path().join("data");
    let refused = sluice_server::serve(
        listener,
        Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() },
        std::future::pending(),
    );
    let refused = format!("{:#}", refused.await.unwrap_err());
    assert!(refused.contains("access.issuer.jwks_url has to begin with https://"), "{refused}");
}

/// Text of a server reaches the terminal of whoever reads it without control characters; and the command sends no secret
/// over plain HTTP to another machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_and_sends_nothing_dangerous() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hostile = "approve
me \u{1b}[2J\u{9b}31m\u{202e}";
    let source = json!({"name": hostile, "key": [hostile, "id"]});
    let plugin = json!({"name": hostile, "version": hostile, "world": "mapper", "tenant": "north", "digest": "0".repeat(64),
        "origin": hostile, "approved": false, "inspection": {"sources": [source], "entityTypes": [hostile],
        "codes": [hostile], "toolchain": [hostile], "imports": [{"import": hostile, "allows": hostile}]}});
    let refusal =
        json!({"type": "about:blank", "title": hostile, "status": 409, "code": "NOT_VALIDATED", "detail": hostile});
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 8_192];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let (status, body) = match head.split(' ').nth(1).unwrap_or_default() {
                "/oauth2/token" => ("200 OK", json!({"access_token": "t", "expires_in": 900})),
                path if path.starts_with("/plugins?") => ("200 OK", json!({"items": [plugin], "total": 1})),
                path if path.starts_with("/plugins/") => ("200 OK", plugin.clone()),
                _ => ("409 Conflict", refusal.clone()),
            };
            let (kind, body) = (if status.starts_with('2') { "json" } else { "problem+json" }, body.to_string());
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/{kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let run = async |arguments: &[&str]| {
        let mut sluice = Command::new(command());
        sluice.args(arguments).env("SLUICE_CLIENT_ID", "client-0").env("SLUICE_CLIENT_SECRET", "sluice_0");
        let output = tokio::task::spawn_blocking(move || sluice.output().unwrap()).await.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let id = "3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10";
    for arguments in [
        vec!["plugin", "list", "--server", &url],
        vec!["plugin", "list", "--json", "--server", &url],
        vec!["plugin", "show", id, "--server", &url],
        vec!["plugin", "approve", id, "--yes", "--server", &url],
        vec!["import", id, "--server", &url],
        vec!["import", id, "--json", "--server", &url],
        vec!["trial", id, "--server", &url],
        vec!["ledger", "list", id, "--server", &url],
        vec!["uploads", "list", id, "--server", &url],
    ] {
        let said = run(&arguments).await;
        let acts =
            |character: &char| character.is_control() && !"\n\t".contains(*character) || *character == '\u{202e}';
        assert!(!said.is_empty() && !said.contains(|character| acts(&character)), "{arguments:?}: {said:?}");
    }
    let said = run(&["plugin", "approve", id, "--yes", "--server", &url]).await;
    assert!(said.contains("approve\\u000ame \\u001b[2J\\u009b31m\\u202e+id"), "the approver sees the key: {said}");
    for (extra, refused) in [(None, true), (Some("--allow-http"), false)] {
        let mut arguments = vec!["import", id, "--server", "http://sluice.invalid:1"];
        arguments.extend(extra);
        let said = run(&arguments).await;
        assert_eq!(said.contains("--allow-http"), refused, "{said}");
    }
}
