//! `sluice plugin compare`: what two mappers make of the same files, on this machine.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use uuid::Uuid;

use crate::migration::source_files as files;
use crate::migration::source_files::{Csv, form_of};
use crate::migration::steps::MIGRATIONS;
use crate::migration::trial::compared;
use crate::plugin::run::source;
use crate::server::local_server::{Source, digest_of, registered, throw_away};
use crate::view::View;
use sluice_client::Client;
use sluice_client::upload;

/// What `sluice plugin compare` is told.
#[derive(Args)]
pub struct Compare {
    /// The mapper that is there, a WebAssembly component
    from: PathBuf,
    /// The mapper that may take its place
    to: PathBuf,
    /// A source and its file, of JSON lines or a table (.csv), compressed (.gz, .zst) or not; may be given more than once.
    /// Sources that others look up are loaded first
    #[arg(long, value_name = "NAME=FILE", required = true, value_parser = source)]
    source: Vec<(String, PathBuf)>,
    #[command(flatten)]
    csv: Csv,
    /// Limits (TOML), as a server has them
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Show no records
    #[arg(long)]
    figures: bool,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// Compares; the exit code.
pub async fn run(args: Compare) -> Result<u8> {
    let view = View::new(args.output.quiet || args.output.json);
    let mappers = vec![args.from.clone(), args.to.clone()];
    throw_away(view, args.config.as_deref(), mappers, async |client| compare(&args, view, client).await).await
}

async fn compare(args: &Compare, view: View, client: &Client) -> Result<u8> {
    let from = digest_of(&args.from)?;
    // Where both have one name, it is the second that is listed.
    let (mapper, migration) = registered(client, &args.to, &args.source).await?;
    let migration: Uuid = migration.parse()?;
    for Source { name } in &mapper.sources {
        for (_, file) in args.source.iter().filter(|(given, _)| given == name) {
            let Some((chunks, bytes)) = files::chunks(file)? else { continue };
            let bar = view.bar(&format!("Loading {name}"), Some(bytes));
            let path = format!("{MIGRATIONS}/{migration}/sources/{name}");
            upload(client, &path, &form_of(file, &args.csv), chunks, |sent, _| bar.set_position(sent)).await?;
            bar.finish_and_clear();
        }
    }
    let told = json!({"from": from, "to": mapper.digest});
    compared(client, view, migration, &told, args.output.json, args.figures).await
}
