//! Access tokens: how clients get them, and what ends them.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::json;
use sluice_config::Config;
use sluice_model::Permission;
use sluice_server::access::Access;

use crate::harness::clients::{ClientProperties, client, store};
use crate::harness::server::{Answer, Server, shared};

const MIGRATOR: ClientProperties = ClientProperties { tenant: "west", permission: Permission::Migrate, domains: &[] };
const MIGRATIONS: &str = "/migration-assistance/migrations";

async fn ask(basic: Option<(&str, &str)>, form: &str) -> Answer {
    let server = shared();
    let mut request = server.anonymous(Method::POST, "/oauth2/token");
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret));
    }
    let form = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
    server.send(form).await
}

async fn status(server: &Server, token: &str, method: Method) -> u16 {
    let request = server.anonymous(method.clone(), MIGRATIONS).bearer_auth(token);
    let request = if method == Method::POST { request.json(&json!({"components": ["Administrate"]})) } else { request };
    server.send(request).await.status
}

/// A token request, and the status and error of the answer by RFC 6749. `ID` and `SECRET` stand for those of a valid
/// client.
#[tokio::test(flavor = "multi_thread")]
async fn answers_token_requests_by_rfc_6749() {
    let (id, secret) = client(shared(), MIGRATOR, None);
    let basic = Some((id.as_str(), secret.as_str()));
    type TokenRequest<'a> = (Option<(&'a str, &'a str)>, &'a str, u16, &'a str);
    let table: &[TokenRequest] = &[
        (basic, "grant_type=client_credentials", 200, ""),
        (basic, "grant_type=client_credentials&scope=read", 200, ""),
        (basic, "grant_type=client_credentials&scope=read+migrate", 200, ""),
        (None, "grant_type=client_credentials&client_id=ID&client_secret=SECRET", 200, ""),
        (basic, "grant_type=client_credentials&scope=admin", 400, "invalid_scope"),
        (basic, "grant_type=client_credentials&scope=everything", 400, "invalid_scope"),
        (basic, "grant_type=client_credentials&scope=", 200, ""),
        (basic, "grant_type=", 400, "invalid_request"),
        (basic, "grant_type=password", 400, "unsupported_grant_type"),
        (basic, "grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
        (basic, "", 400, "invalid_request"),
        (None, "grant_type=client_credentials", 401, "invalid_client"),
        (None, "grant_type=client_credentials&client_id=ID&client_secret=sluice_0", 401, "invalid_client"),
        (Some((&id, "")), "grant_type=client_credentials", 401, "invalid_client"),
        (Some(("client-000000000000", &secret)), "grant_type=client_credentials", 401, "invalid_client"),
    ];
    for (basic, form, status, error) in table {
        let answer = ask(*basic, &form.replace("ID", &id).replace("SECRET", &secret)).await;
        let given = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, given.as_str()), (*status, *error), "{form}");
        assert!(!answer.body.contains(&secret), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_a_token_with_fewer_scopes() {
    let server = shared();
    let (id, secret) = client(server, MIGRATOR, None);
    let answer = ask(Some((&id, &secret)), "grant_type=client_credentials&scope=read").await.json();
    assert_eq!((answer["scope"].as_str(), answer["token_type"].as_str()), (Some("read"), Some("Bearer")));
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!((status(server, token, Method::GET).await, status(server, token, Method::POST).await), (200, 403));
}

/// Requests a token for a tenant and a label, as Akkuro's API does.
#[tokio::test(flavor = "multi_thread")]
async fn issues_a_token_for_a_tenant_and_a_label() {
    let server = shared();
    let (id, secret) = client(server, MIGRATOR, None);
    let label = "3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10";
    for (tenant, label, secret, status) in [
        ("west", label, secret.as_str(), 200),
        ("east", label, &secret, 401),
        ("west", label, "sluice_0", 401),
        ("west", "no-label", &secret, 400),
    ] {
        let path = format!("/authentication/token/{tenant}/{label}");
        let answer = server.send(server.anonymous(Method::GET, &path).basic_auth(&id, Some(secret))).await;
        assert_eq!(answer.status, status, "{tenant} {label}: {}", answer.body);
        if status == 200 {
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            assert_eq!(self::status(server, &token, Method::POST).await, 201);
        }
    }
}

/// Ends a secret or a token in each way, with a new client each. The columns say if the old secret, the new secret and
/// the token still work.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_tokens_end_with_rotation_and_revocation() {
    let server = shared();
    let now = Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    for (what, old, new, token) in [
        ("nothing", true, false, true),
        ("another secret", false, true, true),
        ("another secret beside the old one", true, true, true),
        ("a key that is replaced", true, false, true),
        ("being revoked", false, false, false),
    ] {
        let (id, secret) = client(server, MIGRATOR, None);
        let live = server.token_of(&id, &secret).await;
        let catalogue = store(server);
        let mut stored = catalogue.client(&id).unwrap().unwrap();
        let mut replaced = None;
        match what {
            "another secret" => replaced = Some(sluice_server::access::rotate(&mut stored, now, now)),
            "another secret beside the old one" => {
                replaced = Some(sluice_server::access::rotate(&mut stored, now + hour, now));
            }
            "a key that is replaced" => {
                let keys = sluice_data_dir::open_keys(&server.data_dir, &Config::default()).unwrap();
                let beside = store(server);
                Access::new(beside.into(), keys.into(), &Config::default().access).rotate_keys(now).unwrap();
            }
            "being revoked" => catalogue.revoke_client(&id, now).unwrap(),
            _ => {}
        }
        assert_eq!(catalogue.replace_secret(&stored).unwrap(), what != "being revoked", "{what}");
        let is_accepted =
            async |secret: &str| ask(Some((&id, secret)), "grant_type=client_credentials").await.status == 200;
        assert_eq!(is_accepted(&secret).await, old, "{what}: the old secret");
        let fresh = replaced.map(|credentials| credentials.reveal().split_once(':').unwrap().1.to_owned());
        assert_eq!(is_accepted(fresh.as_deref().unwrap_or("none")).await, new, "{what}: the new secret");
        assert_eq!(status(server, &live, Method::GET).await == 200, token, "{what}: the token");
    }
}

/// A client's secret fails after the client's end date.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_an_expired_client() {
    for (hours, status) in [(-1, 401), (1, 200)] {
        let end = Timestamp::now() + SignedDuration::from_hours(hours);
        let (id, secret) = client(shared(), MIGRATOR, Some(end));
        assert_eq!(ask(Some((&id, &secret)), "grant_type=client_credentials").await.status, status, "{hours}");
    }
}

/// Altered and unsigned tokens are refused.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_tokens() {
    let server = shared();
    let (id, secret) = client(server, MIGRATOR, None);
    let live = server.token_of(&id, &secret).await;
    let (head, rest) = live.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for token in [
        String::new(),
        "x".into(),
        format!("{head}.{body}."),
        format!("{unsigned}.{body}."),
        format!("{head}.{body}.{}", signature.chars().rev().collect::<String>()),
        format!("{head}.{}.{signature}", body.to_lowercase()),
        format!("{live}x"),
    ] {
        let request = server.anonymous(Method::GET, MIGRATIONS).bearer_auth(&token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 401, "{token}");
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{token}");
    }
}
