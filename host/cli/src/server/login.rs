//! Options that authenticate the command to a server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use sluice_client::{SluiceClient, read_credentials};
use sluice_data_dir::ADMIN_FILE;
use sluice_keys::Credentials;

/// Options that authenticate the command to a server.
#[derive(Args)]
pub struct LoginArgs {
    /// File with the id and secret of an API client, as id:secret [default: SLUICE_CLIENT_ID and
    /// SLUICE_CLIENT_SECRET, or else ./sluice-data/admin-client]
    #[arg(long, value_name = "FILE", env = "SLUICE_CLIENT_FILE")]
    client_file: Option<PathBuf>,
    /// Certificate (PEM) of the authority that issued the server's certificate, in addition to the authorities that this
    /// machine trusts
    #[arg(long, value_name = "FILE", env = "SLUICE_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Allow plain HTTP to another machine, where others could read the secret and the records
    #[arg(long, env = "SLUICE_ALLOW_HTTP", value_parser = clap::builder::BoolishValueParser::new())]
    allow_http: bool,
}

impl LoginArgs {
    /// Returns the credentials from the first place that has any.
    fn credentials(&self) -> Result<Option<Credentials>> {
        if let Some(file) = &self.client_file {
            return Ok(Some(read_credentials(file)?));
        }
        if let (Ok(id), Ok(secret)) = (std::env::var("SLUICE_CLIENT_ID"), std::env::var("SLUICE_CLIENT_SECRET")) {
            return Ok(Some(Credentials { id, secret: secret.into() }));
        }
        let admin = Path::new("./sluice-data").join(ADMIN_FILE);
        if admin.exists() { Ok(Some(read_credentials(&admin)?)) } else { Ok(None) }
    }

    /// Returns a client of the server at this address.
    pub fn client(&self, server: &str) -> Result<SluiceClient> {
        let ca = self.ca_file.as_ref().map(|file| {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            sluice_client::Certificate::from_pem(&pem)
                .with_context(|| format!("{} holds no certificate", file.display()))
        });
        let make = if self.allow_http { SluiceClient::allowing_plain_http } else { SluiceClient::new };
        Ok(make(server, self.credentials()?, ca.transpose()?)?)
    }
}
