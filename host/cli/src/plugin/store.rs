//! `sluice plugin push`, `list`, `show`, `approve`, `revoke` and signing: plugins on a server, for those who write them
//! and those who let them in.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use sluice_client::Method;
use sluice_keys::{Signer, random};
use sluice_model::{Digest, from_hex, to_hex};
use sluice_server::app::signed_text;

use crate::migration::report_text::table;
use crate::server::login::Login;
use crate::view::{grouped, print};
use sluice_client::Client;

/// The server that is meant.
#[derive(Args)]
pub struct Server {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SLUICE_SERVER")]
    server: String,
    #[command(flatten)]
    login: Login,
}

impl Server {
    fn client(&self) -> Result<Client> {
        self.login.client(&self.server)
    }
}

/// A plugin on a server, and for whom.
#[derive(Args)]
pub struct Meant {
    /// SHA-256 of its component
    digest: String,
    /// For a client that sees several tenants: which; * for every one
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// What is done with plugins on a server.
#[derive(Subcommand)]
pub enum StoreVerb {
    /// Bring a plugin to a server, where it can be tried, and be approved
    #[command(after_help = "Example: sluice plugin push my_mapper.wasm --sign my.key")]
    Push {
        /// The WebAssembly component
        file: PathBuf,
        /// Sign it with this private key, of `sluice plugin key`
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
        /// For a client that sees several tenants: whose it is
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// List the plugins of a server
    List {
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Show what a plugin of a server could do, under which limits, and who approved it
    Show {
        /// SHA-256 of its component
        digest: String,
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Let a plugin take part in imports, having seen what it could do
    #[command(after_help = "Example: sluice plugin approve 3f0e… --limit batch_millis=10000")]
    Approve {
        #[command(flatten)]
        meant: Meant,
        /// A limit in place of the server's own; may be given more than once
        #[arg(long, value_name = "NAME=FIGURE", value_parser = limit)]
        limit: Vec<(String, u64)>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Let it take part no longer; an import that runs stops at its next batch
    Revoke {
        #[command(flatten)]
        meant: Meant,
    },
    /// Make a key to sign plugins with; the public key is printed, for whoever runs the server
    #[command(after_help = "Example: sluice plugin key my.key")]
    Key {
        /// Where the private key is written to
        file: PathBuf,
    },
    /// Take plugins that are signed with a customer's key
    #[command(after_help = "Example: sluice plugin trust 9b1c… --tenant north")]
    Trust {
        /// The public key
        key: String,
        /// For a client that sees several tenants: whose it is
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Take its signatures no longer
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        server: Server,
    },
}

fn limit(text: &str) -> Result<(String, u64), &'static str> {
    let (name, figure) = text.split_once('=').ok_or("it is not NAME=FIGURE, such as batch_millis=10000")?;
    Ok((name.into(), figure.parse().map_err(|_| "the figure is not a whole number")?))
}

fn query(tenant: Option<&str>) -> String {
    tenant
        .map(|tenant| format!("?{}", serde_urlencoded::to_string([("tenant", tenant)]).unwrap_or_default()))
        .unwrap_or_default()
}

/// Runs it; the exit code.
pub async fn run(verb: StoreVerb) -> Result<u8> {
    match verb {
        StoreVerb::Push { file, sign, tenant, server } => {
            push(&file, sign.as_deref(), tenant.as_deref(), &server).await
        }
        StoreVerb::List { json, server } => list(json, &server).await,
        StoreVerb::Show { digest, json, server } => {
            let plugin: Value = server.client()?.get(&format!("/plugins/{}", plain(&digest))).await?;
            print(&if json { format!("{plugin:#}\n") } else { shown(&plugin) })?;
            Ok(0)
        }
        StoreVerb::Approve { meant, limit, yes } => approve(&meant, limit, yes).await,
        StoreVerb::Revoke { meant } => {
            let path = format!("/plugins/{}/approval{}", plain(&meant.digest), query(meant.tenant.as_deref()));
            meant.server.client()?.act(Method::DELETE, &path).await?;
            print("Revoked.\n")?;
            Ok(0)
        }
        StoreVerb::Key { file } => key(&file),
        StoreVerb::Trust { key, tenant, revoke, server } => {
            let method = if revoke { Method::DELETE } else { Method::PUT };
            server.client()?.act(method, &format!("/plugin-keys/{key}{}", query(tenant.as_deref()))).await?;
            print(if revoke { "Its signatures are taken no longer.\n" } else { "Its signatures are taken.\n" })?;
            Ok(0)
        }
    }
}

fn plain(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

async fn push(file: &Path, key: Option<&Path>, tenant: Option<&str>, server: &Server) -> Result<u8> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let signature = key.map(|key| {
        let text = std::fs::read_to_string(key).with_context(|| format!("cannot read {}", key.display()))?;
        let seed = from_hex(text.trim()).with_context(|| format!("{} holds no key", key.display()))?;
        anyhow::Ok(to_hex(&Signer::new(&seed).sign(signed_text(Digest::of(&bytes)).as_bytes())))
    });
    let client = server.client()?;
    let plugin: Value = client.push(&format!("/plugins{}", query(tenant)), bytes, signature.transpose()?).await?;
    print(&shown(&plugin))?;
    if plugin["approved"] != true {
        let digest = plugin["digest"].as_str().unwrap_or_default();
        print(&format!(
            "\nIt can be tried now. Before an import somebody with the permission approve has to approve it:\n  sluice \
             plugin approve {digest}\n"
        ))?;
    }
    Ok(0)
}

async fn list(json: bool, server: &Server) -> Result<u8> {
    let client = server.client()?;
    let mut items: Vec<Value> = vec![];
    loop {
        let page: Value = client.get(&format!("/plugins?limit=100&offset={}", items.len())).await?;
        let more = page["items"].as_array().cloned().unwrap_or_default();
        let ended = more.is_empty();
        items.extend(more);
        if ended || Some(items.len() as u64) >= page["total"].as_u64() {
            break;
        }
    }
    if json {
        print(&format!("{:#}\n", json!({"items": items})))?;
        return Ok(0);
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = items.iter().map(|plugin| {
        let approved = if plugin["approved"] == true { "approved" } else { "not approved" };
        let what = [&plugin["name"], &plugin["version"], &plugin["world"], &plugin["tenant"], &plugin["origin"]];
        [what.map(text).to_vec(), vec![approved.into(), text(&plugin["digest"])]].concat()
    });
    print(&table(&["name", " version", " world", " tenant", " came", " imports", " digest"], rows))?;
    Ok(0)
}

async fn approve(meant: &Meant, limits: Vec<(String, u64)>, yes: bool) -> Result<u8> {
    let client = meant.server.client()?;
    let path = format!("/plugins/{}", plain(&meant.digest));
    let (plugin, tag): (Value, _) = client.get_tagged(&path).await?;
    print(&shown(&plugin))?;
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!("approving asks first: read what the plugin could do, and say --yes");
        }
        print("\nApprove it for imports? [y/N] ")?;
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            print("Not approved.\n")?;
            return Ok(2);
        }
    }
    let limits: Map<String, Value> = limits.into_iter().map(|(name, figure)| (name, figure.into())).collect();
    let mut body = json!({"limits": limits});
    if let Some(tenant) = &meant.tenant {
        body["tenant"] = tenant.as_str().into();
    }
    // What was shown is what is approved.
    let _: Value = client.send_if(Method::PUT, &format!("{path}/approval"), &body, tag).await?;
    print("Approved.\n")?;
    Ok(0)
}

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

/// What a plugin is, what it could do and under which limits, and who approved it.
fn shown(plugin: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |value: &Value, each: &dyn Fn(&Value) -> String| {
        value.as_array().map(|items| items.iter().map(each).collect::<Vec<_>>().join("\n")).unwrap_or_default()
    };
    let found = &plugin["inspection"];
    let source = |source: &Value| {
        let key: Vec<String> = source["key"].as_array().map(|key| key.iter().map(text).collect()).unwrap_or_default();
        format!("{} ({})", text(&source["name"]), key.join("+"))
    };
    let rows = [
        ("name", text(&plugin["name"])),
        ("version", text(&plugin["version"])),
        ("world", text(&plugin["world"])),
        ("tenant", plugin["tenant"].as_str().unwrap_or("every tenant").to_owned()),
        ("digest", text(&plugin["digest"])),
        ("size", format!("{} bytes", grouped(found["bytes"].as_u64().unwrap_or_default()))),
        ("sources (key)", list(&found["sources"], &source)),
        ("entity types", list(&found["entityTypes"], &text)),
        ("codes of its own", list(&found["codes"], &text)),
        ("made with", list(&found["toolchain"], &text)),
        ("signed with", text(&plugin["signedBy"])),
    ];
    let mut out = table(&["plugin", " "], rows.into_iter().map(|(name, value)| vec![name.into(), value]));
    let imports = found["imports"].as_array().into_iter().flatten();
    out += "\n";
    out += &table(
        &["it imports", " which lets it"],
        imports.map(|import| vec![text(&import["import"]), text(&import["allows"])]),
    );
    let limits = plugin["limits"].as_object().into_iter().flatten();
    out += "\n";
    out += &table(&["limit", "at most"], limits.map(|(name, figure)| vec![name.clone(), grouped(figure)]));
    let approvals = plugin["approvals"].as_array().into_iter().flatten().map(|approval| {
        let tenant = approval["tenant"].as_str().unwrap_or("every tenant").to_owned();
        vec![tenant, text(&approval["by"]), text(&approval["at"]), text(&approval["revokedAt"])]
    });
    let approvals: Vec<Vec<String>> = approvals.collect();
    if !approvals.is_empty() {
        out += "\n";
        out += &table(&["approved for", " by", " at", " revoked"], approvals);
    }
    out
}
