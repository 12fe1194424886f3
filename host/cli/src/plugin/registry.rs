//! `sluice plugin push`, `list`, `show`, `approve`, `revoke`, `key` and `trust`: plugins in a server's registry, their
//! approval and their signatures.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use sluice_client::{Method, PageView, SluiceClient};
use sluice_keys::{Signer, random};
use sluice_model::{Digest, from_hex, printable_line, to_hex};
use sluice_server::app::signed_text;

use crate::format::{grouped, table};
use crate::output::print;
use crate::server::login::LoginArgs;

/// A server, with the options to log in.
#[derive(Args)]
pub struct ServerArgs {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SLUICE_SERVER")]
    server: String,
    #[command(flatten)]
    login: LoginArgs,
}

impl ServerArgs {
    /// Creates a client of the server.
    pub fn client(&self) -> Result<SluiceClient> {
        self.login.client(&self.server)
    }
}

/// A plugin on a server, and the tenant that the command acts for.
#[derive(Args)]
pub struct PluginDigestArgs {
    /// SHA-256 of the plugin's component
    digest: String,
    /// Tenant, for a client that sees several tenants; * for all tenants
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Verbs about plugins on a server.
#[derive(Subcommand)]
pub enum RegistryCommand {
    /// Send a plugin to a server, for trials and for approval
    #[command(after_help = "Example: sluice plugin push my_mapper.wasm --sign my.key")]
    Push {
        /// The WebAssembly component
        file: PathBuf,
        /// Private key to sign the plugin with, made by `sluice plugin key`
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
        /// Tenant of the plugin, for a client that sees several tenants
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List the plugins of a server
    List {
        /// Print one JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show what a plugin of a server may do, its limits, and its approvals
    Show {
        /// SHA-256 of the plugin's component
        digest: String,
        /// Print one JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Approve a plugin for imports, after a look at what it may do
    #[command(after_help = "Example: sluice plugin approve 3f0e… --limit batch_millis=10000")]
    Approve {
        #[command(flatten)]
        plugin: PluginDigestArgs,
        /// Limit that replaces the server's own; may be given more than once
        #[arg(long, value_name = "NAME=FIGURE", value_parser = limit)]
        limit: Vec<(String, u64)>,
        /// Approve without a question
        #[arg(long, short)]
        yes: bool,
    },
    /// Revoke the approval of a plugin; a running import stops at its next batch
    Revoke {
        #[command(flatten)]
        plugin: PluginDigestArgs,
    },
    /// Generate a key that signs plugins, and print the public key for the server's operator
    #[command(after_help = "Example: sluice plugin key my.key")]
    Key {
        /// File for the private key
        file: PathBuf,
    },
    /// Accept plugins that are signed with a customer's key
    #[command(after_help = "Example: sluice plugin trust 9b1c… --tenant north")]
    Trust {
        /// The public key
        key: String,
        /// Tenant of the key, for a client that sees several tenants
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Accept the key no longer
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Parses `NAME=FIGURE`.
fn limit(text: &str) -> Result<(String, u64), &'static str> {
    let (name, figure) = text.split_once('=').ok_or("a limit is NAME=FIGURE, such as batch_millis=10000")?;
    Ok((name.into(), figure.parse().map_err(|_| "the figure is not a whole number")?))
}

/// Returns the query string that names a tenant.
fn tenant_query(tenant: Option<&str>) -> String {
    tenant
        .map(|tenant| format!("?{}", serde_urlencoded::to_string([("tenant", tenant)]).unwrap_or_default()))
        .unwrap_or_default()
}

/// Runs a verb and returns its exit code.
pub async fn run(command: RegistryCommand) -> Result<u8> {
    match command {
        RegistryCommand::Push { file, sign, tenant, server } => {
            push(&file, sign.as_deref(), tenant.as_deref(), &server).await
        }
        RegistryCommand::List { json, server } => list(json, &server).await,
        RegistryCommand::Show { digest, json, server } => {
            let plugin: Value = server.client()?.get(&format!("/plugins/{}", bare_digest(&digest))).await?;
            print(&if json { format!("{plugin:#}\n") } else { plugin_text(&plugin) })?;
            Ok(0)
        }
        RegistryCommand::Approve { plugin, limit, yes } => approve(&plugin, limit, yes).await,
        RegistryCommand::Revoke { plugin } => {
            let path =
                format!("/plugins/{}/approval{}", bare_digest(&plugin.digest), tenant_query(plugin.tenant.as_deref()));
            plugin.server.client()?.send(Method::DELETE, &path).await?;
            print(&revoked_text(plugin.tenant.as_deref()))?;
            Ok(0)
        }
        RegistryCommand::Key { file } => key(&file),
        RegistryCommand::Trust { key, tenant, revoke, server } => {
            let method = if revoke { Method::DELETE } else { Method::PUT };
            server.client()?.send(method, &format!("/plugin-keys/{key}{}", tenant_query(tenant.as_deref()))).await?;
            print(if revoke { "The server accepts the key no longer.\n" } else { "The server accepts the key.\n" })?;
            Ok(0)
        }
    }
}

/// Returns the effect of a revocation as a sentence.
fn revoked_text(tenant: Option<&str>) -> String {
    match tenant {
        Some("*") => "Revoked for every tenant. A tenant that approved the plugin itself keeps its approval.\n".into(),
        Some(tenant) => format!("Revoked: the plugin takes part in no more imports of tenant {tenant}.\n"),
        None => "Revoked: the plugin takes part in no more imports of your tenant.\n".into(),
    }
}

/// Returns a digest without its prefix `sha256:`.
fn bare_digest(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

async fn push(file: &Path, key: Option<&Path>, tenant: Option<&str>, server: &ServerArgs) -> Result<u8> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let signature = key.map(|key| {
        let text = std::fs::read_to_string(key).with_context(|| format!("cannot read {}", key.display()))?;
        let seed = from_hex(text.trim()).with_context(|| format!("{} holds no key", key.display()))?;
        anyhow::Ok(to_hex(&Signer::new(&seed).sign(signed_text(Digest::of(&bytes)).as_bytes())))
    });
    let client = server.client()?;
    let plugin: Value =
        client.push_plugin(&format!("/plugins{}", tenant_query(tenant)), bytes, signature.transpose()?).await?;
    print(&plugin_text(&plugin))?;
    if plugin["approved"] != true {
        let digest = plugin["digest"].as_str().unwrap_or_default();
        print(&format!(
            "\nTrials can use the plugin now. Before an import, a client with the permission approve has to approve \
             it:\n  sluice plugin approve {digest}\n"
        ))?;
    }
    Ok(0)
}

async fn list(json: bool, server: &ServerArgs) -> Result<u8> {
    let client = server.client()?;
    let mut items: Vec<Value> = vec![];
    loop {
        let page: PageView<Value> = client.get(&format!("/plugins?limit=100&offset={}", items.len())).await?;
        let is_empty = page.items.is_empty();
        items.extend(page.items);
        if is_empty || items.len() as u64 >= page.total {
            break;
        }
    }
    if json {
        print(&format!("{:#}\n", json!({"items": items})))?;
        return Ok(0);
    }
    let text = |value: &Value| printable_line(value.as_str().unwrap_or("-")).into_owned();
    let rows = items.iter().map(|plugin| {
        let approved = if plugin["approved"] == true { "approved" } else { "not approved" };
        let cells = [&plugin["name"], &plugin["version"], &plugin["world"], &plugin["tenant"], &plugin["origin"]];
        [cells.map(text).to_vec(), vec![approved.into(), text(&plugin["digest"])]].concat()
    });
    print(&table(&["name", " version", " world", " tenant", " origin", " imports", " digest"], rows))?;
    Ok(0)
}

async fn approve(args: &PluginDigestArgs, limits: Vec<(String, u64)>, yes: bool) -> Result<u8> {
    let client = args.server.client()?;
    let path = format!("/plugins/{}", bare_digest(&args.digest));
    let (plugin, tag): (Value, _) = client.get_with_etag(&path).await?;
    print(&plugin_text(&plugin))?;
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!("an approval needs an answer: read what the plugin may do, and pass --yes");
        }
        print("\nApprove it for imports? [y/N] ")?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            print("Not approved.\n")?;
            return Ok(2);
        }
    }
    let limits: Map<String, Value> = limits.into_iter().map(|(name, figure)| (name, figure.into())).collect();
    let mut body = json!({"limits": limits});
    if let Some(tenant) = &args.tenant {
        body["tenant"] = tenant.as_str().into();
    }
    // The entity tag makes sure that the approved plugin is the shown one.
    let _: Value = client.send_json_if_match(Method::PUT, &format!("{path}/approval"), &body, tag).await?;
    print("Approved.\n")?;
    Ok(0)
}

/// Generates a key, writes the private key to a file, and prints the public key.
fn key(file: &Path) -> Result<u8> {
    let seed: [u8; 32] = random();
    let mut options = std::fs::OpenOptions::new();
    let mut out = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(out, "{}", to_hex(&seed))?;
    out.sync_all()?;
    let public = to_hex(&Signer::new(&seed).public().0);
    print(&format!("{public}\n"))?;
    Ok(0)
}

/// Returns a plugin's properties, imports, limits and approvals as tables.
fn plugin_text(plugin: &Value) -> String {
    // A name of two lines would look like two.
    let text = |value: &Value| printable_line(value.as_str().unwrap_or("-")).into_owned();
    let list = |value: &Value, format: &dyn Fn(&Value) -> String| {
        value.as_array().map(|items| items.iter().map(format).collect::<Vec<_>>().join("\n")).unwrap_or_default()
    };
    let inspection = &plugin["inspection"];
    let source = |source: &Value| {
        let key: Vec<String> = source["key"].as_array().map(|key| key.iter().map(text).collect()).unwrap_or_default();
        format!("{} ({})", text(&source["name"]), key.join("+"))
    };
    let rows = [
        ("name", text(&plugin["name"])),
        ("version", text(&plugin["version"])),
        ("world", text(&plugin["world"])),
        ("tenant", plugin["tenant"].as_str().unwrap_or("all tenants").to_owned()),
        ("digest", text(&plugin["digest"])),
        ("size", format!("{} bytes", grouped(inspection["bytes"].as_u64().unwrap_or_default()))),
        ("sources (key)", list(&inspection["sources"], &source)),
        ("entity types", list(&inspection["entityTypes"], &text)),
        ("own codes", list(&inspection["codes"], &text)),
        ("built with", list(&inspection["toolchain"], &text)),
        ("signed with", text(&plugin["signedBy"])),
    ];
    let mut out = table(&["plugin", " "], rows.into_iter().map(|(name, value)| vec![name.into(), value]));
    let imports = inspection["imports"].as_array().into_iter().flatten();
    out += "\n";
    out +=
        &table(&["import", " permits"], imports.map(|import| vec![text(&import["import"]), text(&import["allows"])]));
    let limits = plugin["limits"].as_object().into_iter().flatten();
    out += "\n";
    out += &table(&["limit", "at most"], limits.map(|(name, figure)| vec![name.clone(), grouped(figure)]));
    let approvals = plugin["approvals"].as_array().into_iter().flatten().map(|approval| {
        let tenant = approval["tenant"].as_str().unwrap_or("all tenants").to_owned();
        vec![tenant, text(&approval["by"]), text(&approval["at"]), text(&approval["revokedAt"])]
    });
    let approvals: Vec<Vec<String>> = approvals.collect();
    if !approvals.is_empty() {
        out += "\n";
        out += &table(&["approved for", " by", " at", " revoked"], approvals);
    }
    out
}
