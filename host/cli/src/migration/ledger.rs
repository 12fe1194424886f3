//! `sluice ledger`: the calls that were sent to a platform, and decisions about refused ones.

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};
use sluice_client::{MIGRATIONS_PATH, Method, PageView};
use uuid::Uuid;

use crate::format::{counted, table};
use crate::migration::args::MigrationArgs;
use crate::migration::undo::{self, UndoArgs};
use crate::output::print;

/// Verbs of `sluice ledger`.
#[derive(Subcommand)]
pub enum LedgerCommand {
    /// List the records with calls, and the state of each
    List {
        #[command(flatten)]
        migration: MigrationArgs,
        /// List only records in this state: open, waiting, done, failed, abandoned, undone
        #[arg(long)]
        state: Option<String>,
    },
    /// Send the failed call of a record, or of many, again with the next import, skipped calls whose answers are needed,
    /// or rolled back calls
    Retry(DecisionArgs),
    /// Skip the failed call of a record, or of many, and continue with the record's next call
    Skip(DecisionArgs),
    /// Leave a record, or many, as they are
    Abandon(DecisionArgs),
    /// Roll back what the calls created, the last first: the same as `sluice undo`
    Undo(UndoArgs),
}

/// The records to decide about: one, or all failed ones that match.
#[derive(Args)]
#[command(group = ArgGroup::new("records").args(["record", "code", "all"]).required(true).multiple(true))]
pub struct DecisionArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Kind of the plan, such as loans
    kind: Option<String>,
    /// Reference id of the record
    #[arg(requires = "kind")]
    record: Option<Uuid>,
    /// Decide about all records, of the kind if one is given, that failed with this code
    #[arg(long, conflicts_with = "record")]
    code: Option<String>,
    /// Decide about all failed records, of the kind if one is given
    #[arg(long, conflicts_with_all = ["record", "code"])]
    all: bool,
}

/// Runs a verb of `sluice ledger` and returns its exit code.
pub async fn run(command: LedgerCommand) -> Result<u8> {
    match command {
        LedgerCommand::List { migration, state } => list(&migration, state.as_deref()).await,
        LedgerCommand::Retry(args) => decide(args, "retry").await,
        LedgerCommand::Skip(args) => decide(args, "skip").await,
        LedgerCommand::Abandon(args) => decide(args, "abandon").await,
        LedgerCommand::Undo(args) => undo::run(args).await,
    }
}

async fn list(args: &MigrationArgs, state: Option<&str>) -> Result<u8> {
    let client = args.client()?;
    let filter = state.map(|state| format!("&state={state}")).unwrap_or_default();
    let (mut rows, mut total) = (vec![], 1);
    while (rows.len() as u64) < total {
        let path = format!("{MIGRATIONS_PATH}/{}/ledger?limit=100&offset={}{filter}", args.migration, rows.len());
        let page: PageView<Value> = client.get(&path).await?;
        total = page.total;
        if page.items.is_empty() {
            break;
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.extend(page.items.iter().map(|item| {
            ["kind", "referenceId", "state", "step", "code", "calls"]
                .map(|name| if item[name].is_null() { String::new() } else { text(&item[name]) })
                .to_vec()
        }));
    }
    print(&table(&["kind", " record", " state", " step", " code", "calls"], rows))?;
    Ok(0)
}

async fn decide(args: DecisionArgs, decision: &str) -> Result<u8> {
    let DecisionArgs { migration, kind, record, code, all } = args;
    let client = migration.client()?;
    let ledger = format!("{MIGRATIONS_PATH}/{}/ledger", migration.migration);
    let (Some(kind), Some(record)) = (&kind, record) else {
        let mut body = json!({"decision": decision, "all": all});
        for (name, filter) in [("kind", kind), ("code", code)] {
            if let Some(filter) = filter {
                body[name] = filter.into();
            }
        }
        let decided: Value = client.send_json(Method::PUT, &ledger, &body).await?;
        let records = counted(decided["decided"].as_u64().unwrap_or_default(), "failed record");
        print(&format!("Decided about {records}. The decision takes effect with the next import.\n"))?;
        return Ok(0);
    };
    let path = format!("{ledger}/{kind}/{record}");
    let entry: Value = client.send_json(Method::PUT, &path, &json!({"decision": decision})).await?;
    let state = entry["state"].as_str().unwrap_or_default();
    print(&format!("{kind} {record} is {state}. The decision takes effect with the next import.\n"))?;
    Ok(0)
}
