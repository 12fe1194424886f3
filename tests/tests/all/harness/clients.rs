//! API clients for tests, made as `sluice client create` makes them: beside the running server.

use sluice_catalog::Store;
use sluice_data_dir::CATALOGUE_FILE;
use sluice_model::{Domain, Grant, Permission};
use sluice_server::access::NewClient;

use crate::harness::server::Server;

/// What a client is made with.
#[derive(Clone, Copy)]
pub struct Made {
    pub tenant: &'static str,
    pub permission: Permission,
    /// Components; none stands for all.
    pub domains: &'static [&'static str],
}

/// A token of a client that is made for this.
pub async fn token(server: &Server, made: Made) -> String {
    let (id, secret) = client(server, made, None);
    server.token_of(&id, &secret).await
}

/// Id and secret of a client that is made for this.
pub fn client(server: &Server, made: Made, expires_at: Option<jiff::Timestamp>) -> (String, String) {
    let domains: Vec<&'static Domain> = made.domains.iter().filter_map(|name| Domain::by_component(name)).collect();
    let new = NewClient {
        tenant: Some(made.tenant.parse().unwrap()),
        permissions: vec![made.permission],
        domains: if domains.is_empty() { Grant::every_domain() } else { domains },
        expires_at,
    };
    let (client, credentials) = new.make(jiff::Timestamp::now());
    store(server).add_client(&client).unwrap();
    let revealed = credentials.reveal();
    let (id, secret) = revealed.split_once(':').unwrap();
    (id.into(), secret.into())
}

/// The server's catalogue, opened beside it.
pub fn store(server: &Server) -> Store {
    Store::open(&server.data_dir.join(CATALOGUE_FILE)).unwrap()
}
