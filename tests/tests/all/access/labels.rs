//! Labels: a client or a token with a label reaches the migrations of this label alone.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_model::{Grant, Permission};
use sluice_server::access::NewClient;
use uuid::Uuid;

use crate::harness::clients::store;
use crate::harness::server::{Answer, Server, shared};

const MIGRATIONS: &str = "/migration-assistance/migrations";

/// Returns id and secret of a new client.
fn client(server: &Server, tenant: &str, label: Option<Uuid>) -> (String, String) {
    let new = NewClient {
        tenant: Some(tenant.parse().unwrap()),
        label,
        permissions: vec![Permission::Migrate],
        domains: Grant::all_domains(),
        expires_at: None,
    };
    let (client, credentials) = new.make(jiff::Timestamp::now());
    store(server).add_client(&client).unwrap();
    let revealed = credentials.reveal();
    let (id, secret) = revealed.split_once(':').unwrap();
    (id.into(), secret.into())
}

async fn label_token(server: &Server, tenant: &str, label: Uuid, (id, secret): &(String, String)) -> Answer {
    let path = format!("/authentication/token/{tenant}/{label}");
    server.send(server.anonymous(Method::GET, &path).basic_auth(id, Some(secret))).await
}

async fn register(server: &Server, token: &str, label: Option<Uuid>) -> Answer {
    let mut body = json!({"components": ["Counterparties"]});
    if let Some(label) = label {
        body["label"] = json!(label);
    }
    server.send(server.anonymous(Method::POST, MIGRATIONS).bearer_auth(token).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_restricts_tokens_and_clients() {
    let server = shared();
    let tenant = format!("labels-{}", Uuid::new_v4().simple());
    let (red, blue) = (Uuid::new_v4(), Uuid::new_v4());
    let (whole, of_red) = (client(server, &tenant, None), client(server, &tenant, Some(red)));
    let access = |answer: Answer| answer.json()["access_token"].as_str().unwrap().to_owned();
    let whole_token = server.token_of(&whole.0, &whole.1).await;
    let red_token = access(label_token(server, &tenant, red, &whole).await);
    let blue_token = access(label_token(server, &tenant, blue, &whole).await);
    let own_token = server.token_of(&of_red.0, &of_red.1).await;
    let own_red_token = access(label_token(server, &tenant, red, &of_red).await);
    assert_eq!(label_token(server, &tenant, blue, &of_red).await.status, 401, "the client has another label");

    // A token, the label that a registration names, the status, and the label of the migration.
    let registrations: [(&str, Option<Uuid>, u16, Option<Uuid>); 9] = [
        (&whole_token, None, 201, None),
        (&whole_token, Some(blue), 201, Some(blue)),
        (&red_token, None, 201, Some(red)),
        (&red_token, Some(red), 201, Some(red)),
        (&red_token, Some(blue), 403, None),
        (&blue_token, None, 201, Some(blue)),
        (&own_token, None, 201, Some(red)),
        (&own_token, Some(blue), 403, None),
        (&own_red_token, None, 201, Some(red)),
    ];
    let mut migrations: Vec<(String, Option<Uuid>)> = vec![];
    for (token, named, status, label) in registrations {
        let answer = register(server, token, named).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 201 {
            let shown = answer.json();
            assert_eq!(shown["label"], json!(label));
            migrations.push((shown["referenceId"].as_str().unwrap().to_owned(), label));
        } else {
            assert_eq!(answer.problem().1, "LABEL_NOT_GRANTED");
        }
    }
    let tokens = [
        (&whole_token, None),
        (&red_token, Some(red)),
        (&blue_token, Some(blue)),
        (&own_token, Some(red)),
        (&own_red_token, Some(red)),
    ];
    for (token, label) in tokens {
        let sees = |of: &Option<Uuid>| label.is_none() || *of == label;
        let list = server.send(server.anonymous(Method::GET, MIGRATIONS).bearer_auth(token)).await.json();
        let mut listed: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|one| &one["referenceId"]).collect();
        listed.reverse();
        let expected: Vec<&String> = migrations.iter().filter(|(_, of)| sees(of)).map(|(id, _)| id).collect();
        assert_eq!((json!(listed), &list["total"]), (json!(expected), &json!(expected.len())), "{label:?}");
        for (id, of) in &migrations {
            for (method, rest, status) in [
                (Method::GET, "", 200),
                (Method::GET, "/jobs", 200),
                (Method::GET, "/logs", 200),
                (Method::GET, "/audit", 200),
                (Method::GET, "/issues", 200),
                (Method::PUT, "/jobs/validate", 409),
            ] {
                let request = |id: &str| server.anonymous(method.clone(), &format!("{MIGRATIONS}/{id}{rest}"));
                let answer = server.send(request(id).bearer_auth(token)).await;
                if sees(of) {
                    assert_eq!(answer.status, status, "{rest}: {}", answer.body);
                } else {
                    let absent = server.send(request(&Uuid::new_v4().to_string()).bearer_auth(token)).await;
                    assert_eq!((answer.status, answer.body), (404, absent.body), "{method} {rest} {label:?}");
                }
            }
        }
    }
    // The same key and body with another label is another request.
    let mut statuses = vec![];
    for token in [&red_token, &red_token, &blue_token] {
        let body = json!({"components": ["Counterparties"]});
        let request = server.anonymous(Method::POST, MIGRATIONS).bearer_auth(token).header("idempotency-key", "k");
        statuses.push(server.send(request.json(&body)).await.status);
    }
    assert_eq!(statuses, [201, 201, 422]);
}
