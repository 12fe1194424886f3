//! Transport: TLS, tokens of another issuer, and the addresses on which a server without clients listens.

use aws_lc_rs::signature::KeyPair as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::{Config, Issuer};
use sluice_server::app::Options;
use sluice_server::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::server::{Server, start};

const MIGRATIONS: &str = "/migration-assistance/migrations";

/// Starts a plain HTTP server that sends one JSON document to every request.
async fn publish(document: Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let body = document.to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// Tokens of a configured issuer, and their permissions.
#[tokio::test(flavor = "multi_thread")]
async fn accepts_tokens_of_a_configured_issuer() {
    let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
    let mut jwk =
        serde_json::to_value(jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap()).unwrap();
    assert!(!pair.public_key().as_ref().is_empty());
    jwk["kid"] = "theirs".into();
    let mut config = Config::default();
    config.access.issuer = Some(Issuer {
        issuer: "https://id.example".into(),
        audience: "sluice-north".into(),
        jwks_url: publish(json!({"keys": [jwk]})).await,
    });
    let dir = tempfile::tempdir().unwrap();
    let options = Options { data_dir: dir.path().into(), config, mappers: vec![], worker: crate::harness::worker() };
    let server: &'static Server = Box::leak(Box::new(start(options, std::future::pending()).0));

    let now = get_current_timestamp();
    let good = json!({"iss": "https://id.example", "aud": "sluice-north", "sub": "jan", "exp": now + 600,
        "tenant": "north", "scope": "openid migrate"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let other = EncodingKey::from_ed_der(
        aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref(),
    );
    // Claims, key id, key, and the statuses of listing, of registering Administrate, and of registering Collaterals.
    for (what, claims, kid, key, statuses) in [
        ("all domains", good.clone(), "theirs", &key, [200, 201, 201]),
        ("one domain", with("domains", json!(["Collaterals"])), "theirs", &key, [200, 403, 201]),
        ("to read", with("scope", json!("read")), "theirs", &key, [200, 403, 403]),
        ("nothing", with("scope", json!("")), "theirs", &key, [403, 403, 403]),
        ("expired", with("exp", json!(now - 600)), "theirs", &key, [401, 401, 401]),
        ("another audience", with("aud", json!("sluice-south")), "theirs", &key, [401, 401, 401]),
        ("another issuer", with("iss", json!("https://else.example")), "theirs", &key, [401, 401, 401]),
        ("no tenant", with("tenant", json!("")), "theirs", &key, [401, 401, 401]),
        ("an unknown domain", with("domains", json!(["Magic"])), "theirs", &key, [401, 401, 401]),
        ("a name that is data", with("sub", json!("Jan Novak\n")), "theirs", &key, [401, 401, 401]),
        ("another key", good.clone(), "theirs", &other, [401, 401, 401]),
        ("an unknown key", good.clone(), "ours", &key, [401, 401, 401]),
    ] {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, key).unwrap();
        let mut given = vec![];
        let post =
            |component: &str| server.anonymous(Method::POST, MIGRATIONS).json(&json!({"components": [component]}));
        for request in [server.anonymous(Method::GET, MIGRATIONS), post("Administrate"), post("Collaterals")] {
            given.push(server.send(request.bearer_auth(&token)).await.status);
        }
        assert_eq!(given, statuses, "{what}");
    }
}

/// A server with a certificate accepts TLS only.
#[tokio::test(flavor = "multi_thread")]
async fn serves_tls_only_with_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = Config::default();
    config.http.certificate_file = Some(certificate);
    config.http.certificate_key_file = Some(key);
    let options =
        Options { data_dir: dir.path().join("data"), config, mappers: vec![], worker: crate::harness::worker() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, options, async { stopped.await.unwrap_or_default() }));
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build().unwrap();
    let health = client.get(format!("https://localhost:{port}/health/ready")).send().await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    assert!(
        client.get(format!("http://localhost:{port}/health/ready")).send().await.is_err(),
        "the server refuses plain text"
    );
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(
        stranger.get(format!("https://localhost:{port}/health/ready")).send().await.is_err(),
        "the client refuses an unknown certificate"
    );
    drop(client);
    drop(stop);
    serving.await.unwrap().unwrap();
}

/// A certificate, whether the client trusts it, and a text of the client's error.
type RefusedCertificate = (fn(&mut rcgen::CertificateParams), bool, &'static str);

const REFUSED_CERTIFICATES: &[RefusedCertificate] = &[
    // As `openssl req -x509` makes it by default.
    (
        |made| made.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
        true,
        "basicConstraints=critical,CA:FALSE",
    ),
    (|made| made.not_after = rcgen::date_time_ymd(2001, 1, 1), true, "it has expired"),
    (|made| made.not_before = rcgen::date_time_ymd(4000, 1, 1), true, "it is not valid yet"),
    (|made| made.subject_alt_names.clear(), true, "use an address that its subjectAltName has"),
    (|_| {}, false, "--ca-file"),
];

#[tokio::test(flavor = "multi_thread")]
async fn client_says_why_it_refuses_a_certificate() {
    for (change, trusted, text) in REFUSED_CERTIFICATES {
        let dir = tempfile::tempdir().unwrap();
        let mut made = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        change(&mut made);
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let made = made.self_signed(&signing_key).unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        let mut config = Config::default();
        config.http.certificate_file = Some(certificate);
        config.http.certificate_key_file = Some(key);
        let options =
            Options { data_dir: dir.path().join("data"), config, mappers: vec![], worker: crate::harness::worker() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, options, async { stopped.await.unwrap_or_default() }));
        // The server answers once its plugins are compiled, which can take longer than the client waits.
        let patient = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        patient.get(format!("https://localhost:{port}/health/ready")).send().await.unwrap();
        drop(patient);
        let authority = trusted.then(|| sluice_client::Certificate::from_pem(made.pem().as_bytes()).unwrap());
        let client = sluice_client::SluiceClient::new(&format!("https://localhost:{port}"), None, authority).unwrap();
        let refused = client.get::<serde_json::Value>("/health/ready").await.unwrap_err().to_string();
        assert!(refused.contains(text), "{refused}");
        drop(stop);
        serving.await.unwrap().unwrap();
    }
}

/// A server without clients listens on local addresses only.
#[tokio::test(flavor = "multi_thread")]
async fn listens_locally_without_clients() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        data_dir: dir.path().into(),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve(listener, options, std::future::pending()).await.unwrap_err().to_string();
    assert!(refused.contains("sluice client create"), "{refused}");
}
