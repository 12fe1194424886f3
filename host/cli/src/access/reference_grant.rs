//! `sluice reference-grant`: an operator lets the records of one tenant refer to rows of another one.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;
use sluice_client::Method;

use crate::format::table;
use crate::output::print;
use crate::plugin::registry::ServerArgs;

/// The two tenants of a grant.
#[derive(Args)]
pub struct GrantArgs {
    /// Tenant whose records may refer to the rows
    tenant: String,
    /// Tenant that owns the rows
    #[arg(long, value_name = "NAME")]
    owner: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Verbs of `sluice reference-grant`.
#[derive(Subcommand)]
pub enum ReferenceGrantCommand {
    /// List the grants
    List {
        /// Print one JSON document on standard output
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Let the records of a tenant refer to rows of another tenant
    #[command(after_help = "Example: sluice reference-grant give south --owner north")]
    Give(GrantArgs),
    /// Take a grant back; what was imported stays
    #[command(after_help = "Example: sluice reference-grant take-back south --owner north")]
    TakeBack(GrantArgs),
}

/// Runs a verb of `sluice reference-grant` and returns its exit code.
pub async fn run(command: ReferenceGrantCommand) -> Result<u8> {
    let (grant, method, effect) = match command {
        ReferenceGrantCommand::List { json, server } => {
            let grants: Value = server.client()?.get("/reference-grants").await?;
            print(&if json { format!("{grants:#}\n") } else { grants_text(&grants) })?;
            return Ok(0);
        }
        ReferenceGrantCommand::Give(grant) => (grant, Method::PUT, "may refer"),
        ReferenceGrantCommand::TakeBack(grant) => (grant, Method::DELETE, "may no longer refer"),
    };
    let GrantArgs { tenant, owner, server } = grant;
    server.client()?.send(method, &format!("/reference-grants/{tenant}/{owner}")).await?;
    print(&format!("Records of {tenant} {effect} to rows of {owner}.\n"))?;
    Ok(0)
}

fn grants_text(grants: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |grant: &Value| ["tenant", "owner", "givenBy", "givenAt"].map(|name| text(&grant[name])).to_vec();
    table(&["tenant", " owner", " given by", " at"], grants["items"].as_array().into_iter().flatten().map(row))
}
