//! `sluice client` and `sluice keys`: who the API lets in, beside the server and without it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sluice_audit::{Action, Entry, Scope};
use sluice_catalog::{Store, Trail};
use sluice_config::Config;
use sluice_data_dir::{CATALOGUE_FILE, key_places, open_keys};
use sluice_keys::Credentials;
use sluice_keys::{Keyring, Signer};
use sluice_model::{Actor, Client, Domain, Grant, Permission, Tenant};
use sluice_server::access::{Access, NewClient, rotate};

use crate::migration::report_text::table;
use crate::view::print;

/// The data directory of the server that is meant; it may be running.
#[derive(Args)]
pub struct Place {
    /// The server's data directory
    #[arg(long, value_name = "DIR", default_value = "./sluice-data", env = "SLUICE_DATA_DIR")]
    data_dir: PathBuf,
    /// The server's configuration (TOML), where it has one
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
}

/// What `sluice client` is told.
#[derive(Subcommand)]
pub enum ClientVerb {
    /// Make a client; its secret is shown once
    #[command(after_help = "Example: sluice client create --tenant north --permission migrate --domains \
                      Counterparties,Collaterals")]
    Create {
        /// Whose migrations it sees; * for every tenant's
        #[arg(long, value_name = "NAME", default_value = "default", value_parser = tenant)]
        tenant: Whose,
        /// What it may do: read, migrate, approve, admin; several parted by commas
        #[arg(long, value_name = "LIST", required = true, value_delimiter = ',', value_parser = permission)]
        permission: Vec<Permission>,
        /// Components that it may do it to [default: all]
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = domain)]
        domains: Vec<&'static Domain>,
        /// Days after which it is no longer let in [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
        expires_in: Option<u16>,
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// List clients
    List {
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Give a client another secret
    Rotate {
        /// The client's id
        id: String,
        /// Hours for which the old secret is still taken: time to bring the new one to where it is used
        #[arg(long, value_name = "HOURS", default_value_t = 0)]
        keep_old: u16,
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Let a client in no longer; its tokens end with it
    Revoke {
        /// The client's id
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What `sluice keys` is told.
#[derive(Subcommand)]
pub enum KeysVerb {
    /// Sign tokens with a new key from now on; tokens that are alive stay so
    Rotate {
        #[command(flatten)]
        place: Place,
    },
}

/// One tenant, or all. The name keeps clap from taking it for an option that may be absent.
type Whose = Option<Tenant>;

fn tenant(name: &str) -> Result<Whose, sluice_model::NoTenant> {
    if name == "*" { Ok(None) } else { name.parse().map(Some) }
}

fn permission(name: &str) -> Result<Permission, &'static str> {
    Permission::parse(name).ok_or("it is none of read, migrate, approve, admin")
}

fn domain(name: &str) -> Result<&'static Domain, String> {
    let names: Vec<&str> = sluice_model::DOMAINS.iter().map(|domain| domain.component).collect();
    Domain::by_component(name).ok_or_else(|| format!("it is none of {}", names.join(", ")))
}

impl Place {
    fn config(&self) -> Result<Config> {
        Ok(self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default())
    }

    pub fn store(&self) -> Result<Store> {
        let cannot = || format!("cannot use {} as a data directory", self.data_dir.display());
        std::fs::create_dir_all(&self.data_dir).with_context(cannot)?;
        Store::open(&self.data_dir.join(CATALOGUE_FILE)).with_context(cannot)
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where its keys are: the key directory, and the file of the master key.
    pub fn key_places(&self) -> Result<(PathBuf, PathBuf)> {
        Ok(key_places(&self.data_dir, &self.config()?))
    }

    /// Its keys, if they are there: none are made.
    pub fn keys(&self) -> Result<Option<Keyring>> {
        let (directory, master_key) = self.key_places()?;
        Keyring::existing(&directory, &master_key).context("the server's keys cannot be had")
    }

    /// Notes in the server's audit trail what is about to be done, told by `with`; with the key that the trail is
    /// signed with.
    ///
    /// Before it is done: what cannot be noted is not done, and a secret that nobody was shown is not in force.
    pub fn audit(&self, action: Action, with: impl FnOnce(Entry) -> Entry) -> Result<Signer> {
        let signer = || Ok::<_, anyhow::Error>(open_keys(&self.data_dir, &self.config()?)?.signer("audit")?);
        let noted = Trail::new(self.store()?.into(), signer()?);
        noted.append(Scope::Server, &with(Entry::new(Actor::Operator, action))).context(
            "nothing was changed: are these the server's keys? If it has a configuration, name it (--config)",
        )?;
        signer()
    }
}

/// Does what `sluice client` was told; the exit code.
pub fn client(verb: ClientVerb) -> Result<u8> {
    let now = Timestamp::now();
    match verb {
        ClientVerb::Create { tenant, permission, domains, expires_in, json, place } => {
            let domains = if domains.is_empty() { Grant::every_domain() } else { domains };
            let expires_at = expires_in.map(|days| now + SignedDuration::from_hours(i64::from(days) * 24));
            let (client, credentials) = NewClient { tenant, permissions: permission, domains, expires_at }.make(now);
            place.audit(Action::ClientMade, |entry| entry.client(&client.id))?;
            place.store()?.add_client(&client)?;
            made(&client, &credentials, json)?;
        }
        ClientVerb::List { json, place } => list(&place.store()?.clients()?, json)?,
        ClientVerb::Rotate { id, keep_old, json, place } => {
            let store = place.store()?;
            let mut client = known(&store, &id)?;
            let credentials = rotate(&mut client, now + SignedDuration::from_hours(i64::from(keep_old)), now);
            place.audit(Action::SecretReplaced, |entry| entry.client(&id))?;
            if !store.replace_secret(&client)? {
                bail!("{id} was revoked: make another client");
            }
            made(&client, &credentials, json)?;
        }
        ClientVerb::Revoke { id, place } => {
            let store = place.store()?;
            known(&store, &id)?;
            place.audit(Action::ClientRevoked, |entry| entry.client(&id))?;
            store.revoke_client(&id, now)?;
            print(&format!("{id} is let in no longer.\n"))?;
        }
    }
    Ok(0)
}

/// Does what `sluice keys` was told; the exit code.
pub fn keys(verb: KeysVerb) -> Result<u8> {
    let KeysVerb::Rotate { place } = verb;
    let config = place.config()?;
    let ring = open_keys(&place.data_dir, &config)?.into();
    place.audit(Action::TokenKeyReplaced, |entry| entry.client("tokens"))?;
    let id = Access::new(place.store()?.into(), ring, &config.access).rotate_keys(Timestamp::now())?;
    print(&format!("Tokens are signed with key {id} from now on.\n"))?;
    Ok(0)
}

fn known(store: &Store, id: &str) -> Result<Client> {
    match store.client(id)? {
        Some(client) => Ok(client),
        None => bail!("there is no client {id}: `sluice client list` shows all"),
    }
}

fn made(client: &Client, credentials: &Credentials, json: bool) -> Result<()> {
    if json {
        let mut document = shown(client);
        document["secret"] = credentials.secret.expose_secret().into();
        return Ok(print(&format!("{document:#}\n"))?);
    }
    let text = format!(
        "{}: {} on {} of {}\nIts secret, shown this once and stored nowhere:\n  {}\n",
        client.id,
        permissions(client),
        domains(client),
        whose(client),
        credentials.secret.expose_secret()
    );
    Ok(print(&text)?)
}

fn list(clients: &[Client], json: bool) -> Result<()> {
    if json {
        return Ok(print(&format!("{:#}\n", Value::from_iter(clients.iter().map(shown))))?);
    }
    let row =
        |client: &Client| vec![client.id.clone(), whose(client), permissions(client), domains(client), state(client)];
    let headers = [" Client", " Tenant", " Permissions", " Domains", " State"];
    Ok(print(&format!("{}\n", table(&headers, clients.iter().map(row)).trim_end()))?)
}

fn shown(client: &Client) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": client.id,
        "tenant": client.tenant.as_ref().map_or("*", |tenant| tenant.as_str()),
        "permissions": client.permissions,
        "domains": client.domains.iter().map(|domain| domain.component).collect::<Vec<_>>(),
        "createdAt": client.created_at.to_string(),
        "expiresAt": time(client.expires_at),
        "revokedAt": time(client.revoked_at),
    })
}

fn whose(client: &Client) -> String {
    client.tenant.as_ref().map_or("every tenant".into(), |tenant| tenant.as_str().into())
}

fn permissions(client: &Client) -> String {
    client.permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ")
}

fn domains(client: &Client) -> String {
    if client.domains.len() == sluice_model::DOMAINS.len() {
        return "all domains".into();
    }
    client.domains.iter().map(|domain| domain.component).collect::<Vec<_>>().join(", ")
}

fn state(client: &Client) -> String {
    match (client.revoked_at, client.expires_at) {
        (Some(at), _) => format!("revoked {at:.0}"),
        (None, Some(at)) if at <= Timestamp::now() => format!("expired {at:.0}"),
        (None, Some(at)) => format!("until {at:.0}"),
        (None, None) => "live".into(),
    }
}
