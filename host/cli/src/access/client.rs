//! `sluice client`: the clients of the API, beside the server or without it.

use anyhow::{Result, bail};
use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sluice_audit::Action;
use sluice_catalog::Catalog;
use sluice_keys::Credentials;
use sluice_model::{ApiClient, Domain, Grant, Permission, Tenant};
use sluice_server::access::{NewClient, rotate};

use crate::format::table;
use crate::output::print;
use crate::server::data_dir::DataDirArgs;

/// Verbs of `sluice client`.
#[derive(Subcommand)]
pub enum ClientCommand {
    /// Create a client, and show its secret once
    #[command(after_help = "Example: sluice client create --tenant north --permission migrate --domains \
                      Counterparties,Collaterals")]
    Create {
        /// Tenant whose migrations the client sees; * for all tenants
        #[arg(long, value_name = "NAME", default_value = "default", value_parser = tenant)]
        tenant: TenantChoice,
        /// Label of the tenant whose migrations the client sees: a UUID [default: all of the tenant]
        #[arg(long, value_name = "UUID")]
        label: Option<uuid::Uuid>,
        /// Permissions of the client, separated by commas: audit, read, migrate, approve, admin
        #[arg(long, value_name = "LIST", required = true, value_delimiter = ',', value_parser = permission)]
        permission: Vec<Permission>,
        /// Components that the permissions apply to [default: all]
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = domain)]
        domains: Vec<&'static Domain>,
        /// Days until the client expires [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
        expires_in: Option<u16>,
        /// Print one JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
    /// List clients
    List {
        /// Print one JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
    /// Replace the secret of a client
    Rotate {
        /// The client's id
        id: String,
        /// Hours for which the old secret stays valid, so that the new one can be distributed
        #[arg(long, value_name = "HOURS", default_value_t = 0)]
        keep_old: u16,
        /// Print one JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
    /// Revoke a client and its tokens
    Revoke {
        /// The client's id
        id: String,
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
}

/// One tenant, or none for all tenants. Clap would parse a field of type `Option` as an optional argument. The alias
/// prevents that.
type TenantChoice = Option<Tenant>;

fn tenant(name: &str) -> Result<TenantChoice, sluice_model::InvalidTenantName> {
    if name == "*" { Ok(None) } else { name.parse().map(Some) }
}

fn permission(name: &str) -> Result<Permission, &'static str> {
    Permission::parse(name).ok_or("a permission is one of audit, read, migrate, approve, admin")
}

fn domain(name: &str) -> Result<&'static Domain, String> {
    let names: Vec<&str> = sluice_model::DOMAINS.iter().map(|domain| domain.component).collect();
    Domain::by_component(name).ok_or_else(|| format!("a component is one of {}", names.join(", ")))
}

/// Runs a verb of `sluice client` and returns its exit code.
pub fn run(command: ClientCommand) -> Result<u8> {
    let now = Timestamp::now();
    match command {
        ClientCommand::Create { tenant, label, permission, domains, expires_in, json, data_dir } => {
            let domains = if domains.is_empty() { Grant::all_domains() } else { domains };
            let expires_at = expires_in.map(|days| now + SignedDuration::from_hours(i64::from(days) * 24));
            let (client, credentials) =
                NewClient { tenant, label, permissions: permission, domains, expires_at }.make(now);
            data_dir.audit(Action::ClientMade, |entry| entry.client(&client.id))?;
            data_dir.store()?.add_client(&client)?;
            print_credentials(&client, &credentials, json)?;
        }
        ClientCommand::List { json, data_dir } => list(&data_dir.store()?.clients()?, json)?,
        ClientCommand::Rotate { id, keep_old, json, data_dir } => {
            let store = data_dir.store()?;
            let mut client = find(&store, &id)?;
            let credentials = rotate(&mut client, now + SignedDuration::from_hours(i64::from(keep_old)), now);
            data_dir.audit(Action::SecretReplaced, |entry| entry.client(&id))?;
            if !store.replace_secret(&client)? {
                bail!("{id} was revoked: create another client");
            }
            print_credentials(&client, &credentials, json)?;
        }
        ClientCommand::Revoke { id, data_dir } => {
            let store = data_dir.store()?;
            find(&store, &id)?;
            data_dir.audit(Action::ClientRevoked, |entry| entry.client(&id))?;
            store.revoke_client(&id, now)?;
            print(&format!("{id} is revoked.\n"))?;
        }
    }
    Ok(0)
}

fn find(store: &Catalog, id: &str) -> Result<ApiClient> {
    match store.client(id)? {
        Some(client) => Ok(client),
        None => bail!("there is no client {id}: `sluice client list` shows all clients"),
    }
}

fn print_credentials(client: &ApiClient, credentials: &Credentials, json: bool) -> Result<()> {
    if json {
        let mut document = client_json(client);
        document["secret"] = credentials.secret.expose_secret().into();
        return print(&format!("{document:#}\n"));
    }
    let text = format!(
        "{}: {} on {} of {}\nIts secret, shown this once and stored nowhere:\n  {}\n",
        client.id,
        permissions(client),
        domains(client),
        tenant_name(client),
        credentials.secret.expose_secret()
    );
    print(&text)
}

fn list(clients: &[ApiClient], json: bool) -> Result<()> {
    if json {
        return print(&format!("{:#}\n", Value::from_iter(clients.iter().map(client_json))));
    }
    let row = |client: &ApiClient| {
        vec![client.id.clone(), tenant_name(client), permissions(client), domains(client), state(client)]
    };
    let headers = [" Client", " Tenant", " Permissions", " Domains", " State"];
    print(&format!("{}\n", table(&headers, clients.iter().map(row)).trim_end()))
}

fn client_json(client: &ApiClient) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": client.id,
        "tenant": client.tenant.as_ref().map_or("*", |tenant| tenant.as_str()),
        "label": client.label,
        "permissions": client.permissions,
        "domains": client.domains.iter().map(|domain| domain.component).collect::<Vec<_>>(),
        "createdAt": client.created_at.to_string(),
        "expiresAt": time(client.expires_at),
        "revokedAt": time(client.revoked_at),
    })
}

fn tenant_name(client: &ApiClient) -> String {
    let tenant = client.tenant.as_ref().map_or("every tenant", |tenant| tenant.as_str());
    match client.label {
        Some(label) => format!("{tenant}, label {label}"),
        None => tenant.into(),
    }
}

fn permissions(client: &ApiClient) -> String {
    client.permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ")
}

fn domains(client: &ApiClient) -> String {
    if client.domains.len() == sluice_model::DOMAINS.len() {
        return "all domains".into();
    }
    client.domains.iter().map(|domain| domain.component).collect::<Vec<_>>().join(", ")
}

fn state(client: &ApiClient) -> String {
    match (client.revoked_at, client.expires_at) {
        (Some(at), _) => format!("revoked {at:.0}"),
        (None, Some(at)) if at <= Timestamp::now() => format!("expired {at:.0}"),
        (None, Some(at)) => format!("until {at:.0}"),
        (None, None) => "live".into(),
    }
}
