//! API clients for tests, created as `sluice client create` does beside a running server.

use sluice_catalog::Catalog;
use sluice_data_dir::CATALOG_FILE;
use sluice_model::{Domain, Grant, Permission};
use sluice_server::access::NewClient;

use crate::harness::server::Server;

/// Properties of a new API client.
#[derive(Clone, Copy)]
pub struct ClientProperties {
    pub tenant: &'static str,
    pub permission: Permission,
    /// Components; an empty list stands for all.
    pub domains: &'static [&'static str],
}

/// Creates an API client and returns a token of it.
pub async fn token(server: &Server, made: ClientProperties) -> String {
    let (id, secret) = client(server, made, None);
    server.token_of(&id, &secret).await
}

/// Creates an API client, and returns the server as this client uses it.
pub async fn session(server: &Server, made: ClientProperties) -> &'static Server {
    let token = token(server, made).await;
    as_client(server, token)
}

/// Creates a client that runs the server and sees every tenant, and returns the server as this client uses it.
pub async fn operator(server: &Server) -> &'static Server {
    session_with(server, None, &[Permission::Migrate, Permission::Approve, Permission::Admin]).await.1
}

/// Creates a client with several permissions. Returns its id, and the server as this client uses it.
pub async fn session_with(
    server: &Server,
    tenant: Option<&str>,
    permissions: &[Permission],
) -> (String, &'static Server) {
    let tenant = tenant.map(|tenant| tenant.parse().unwrap());
    let new = NewClient {
        tenant,
        permissions: permissions.to_vec(),
        domains: Grant::all_domains(),
        label: None,
        expires_at: None,
    };
    let (client, credentials) = new.make(jiff::Timestamp::now());
    store(server).add_client(&client).unwrap();
    let revealed = credentials.reveal();
    let (id, secret) = revealed.split_once(':').unwrap();
    let token = server.token_of(id, secret).await;
    (id.to_owned(), as_client(server, token))
}

fn as_client(server: &Server, token: String) -> &'static Server {
    let (url, data_dir, client) = (server.url.clone(), server.data_dir.clone(), server.client.clone());
    Box::leak(Box::new(Server { url, data_dir, client, token }))
}

/// Creates an API client and returns its id and secret.
pub fn client(server: &Server, made: ClientProperties, expires_at: Option<jiff::Timestamp>) -> (String, String) {
    let domains: Vec<&'static Domain> = made.domains.iter().filter_map(|name| Domain::by_component(name)).collect();
    let new = NewClient {
        tenant: Some(made.tenant.parse().unwrap()),
        label: None,
        permissions: vec![made.permission],
        domains: if domains.is_empty() { Grant::all_domains() } else { domains },
        expires_at,
    };
    let (client, credentials) = new.make(jiff::Timestamp::now());
    store(server).add_client(&client).unwrap();
    let revealed = credentials.reveal();
    let (id, secret) = revealed.split_once(':').unwrap();
    (id.into(), secret.into())
}

/// Opens the catalogue of a running server.
pub fn store(server: &Server) -> Catalog {
    Catalog::open(&server.data_dir.join(CATALOG_FILE)).unwrap()
}
