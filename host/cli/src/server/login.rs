//! Options by which a command gets in to a server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use sluice_client::{Client, read_credentials};
use sluice_data_dir::ADMIN_FILE;
use sluice_keys::Credentials;

/// How a command gets in.
#[derive(Args)]
pub struct Login {
    /// File with the id and secret of an API client, as id:secret [default: SLUICE_CLIENT_ID and
    /// SLUICE_CLIENT_SECRET, or else ./sluice-data/admin-client]
    #[arg(long, value_name = "FILE", env = "SLUICE_CLIENT_FILE")]
    client_file: Option<PathBuf>,
    /// Certificate (PEM) of whoever vouches for the server, beside those that this machine trusts
    #[arg(long, value_name = "FILE", env = "SLUICE_CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl Login {
    /// The credentials that are meant, if any are there.
    fn credentials(&self) -> Result<Option<Credentials>> {
        if let Some(file) = &self.client_file {
            return read_credentials(file).map(Some);
        }
        if let (Ok(id), Ok(secret)) = (std::env::var("SLUICE_CLIENT_ID"), std::env::var("SLUICE_CLIENT_SECRET")) {
            return Ok(Some(Credentials { id, secret: secret.into() }));
        }
        let first = Path::new("./sluice-data").join(ADMIN_FILE);
        if first.exists() { read_credentials(&first).map(Some) } else { Ok(None) }
    }

    /// A client of the server at this address.
    pub fn client(&self, server: &str) -> Result<Client> {
        let ca = self.ca_file.as_ref().map(|file| {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            sluice_client::Certificate::from_pem(&pem)
                .with_context(|| format!("{} holds no certificate", file.display()))
        });
        Client::new(server, self.credentials()?, ca.transpose()?)
    }
}
