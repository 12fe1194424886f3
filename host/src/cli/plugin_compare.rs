//! `sluice plugin compare`: what two mappers make of the same files, on this machine.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice::app::Options;
use sluice::config::Config;
use sluice::model::{DOMAINS, Digest};
use uuid::Uuid;

use super::client::Client;
use super::local::Local;
use super::plugin_run::source;
use super::steps::MIGRATIONS;
use super::tryout::compared;
use super::upload::{file_chunks, upload};
use super::view::View;

/// What `sluice plugin compare` is told.
#[derive(Args)]
pub struct Compare {
    /// The mapper that is there, a WebAssembly component
    from: PathBuf,
    /// The mapper that may take its place
    to: PathBuf,
    /// A source and its file of JSON lines; may be given more than once. Sources that others look up are loaded first
    #[arg(long, value_name = "NAME=FILE", required = true, value_parser = source)]
    source: Vec<(String, PathBuf)>,
    /// Limits (TOML), as a server has them
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Show no records
    #[arg(long)]
    figures: bool,
    #[command(flatten)]
    output: super::Output,
}

#[derive(Deserialize)]
struct Items {
    items: Vec<Mapper>,
}

#[derive(Deserialize)]
struct Mapper {
    name: String,
    digest: Digest,
    sources: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
}

/// Compares; the exit code.
pub async fn run(args: Compare) -> Result<u8> {
    let view = View::new(args.output.quiet || args.output.json);
    let data_dir = std::env::temp_dir().join(format!("sluice-compare-{}", Uuid::new_v4()));
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let digest = |file: &PathBuf| {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        anyhow::Ok(Digest::of(&bytes))
    };
    let digests = [digest(&args.from)?, digest(&args.to)?];
    let mappers = vec![args.from.clone(), args.to.clone()];
    let options = Options { data_dir: data_dir.clone(), config, mappers };
    let done = async {
        let mut local = Local::start(view, options).await?;
        let client = local.client.clone();
        let done = local.during(compare(&args, view, &client, digests)).await??;
        local.end().await?;
        anyhow::Ok(done)
    };
    let done = done.await;
    // Records are in it: nothing of them stays, however it went.
    if data_dir.exists() {
        std::fs::remove_dir_all(&data_dir).with_context(|| format!("cannot remove {}", data_dir.display()))?;
    }
    done
}

async fn compare(args: &Compare, view: View, client: &Client, [from, to]: [Digest; 2]) -> Result<u8> {
    let Items { items } = client.get("/migration-assistance/mappers").await?;
    // Where both have one name, it is the second that is listed.
    let Some(mapper) = items.into_iter().find(|mapper| mapper.digest == to) else {
        bail!("{} is not a mapper: see `sluice plugin inspect`", args.to.display());
    };
    let known: Vec<&str> = mapper.sources.iter().map(|source| source.name.as_str()).collect();
    if let Some((name, _)) = args.source.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        bail!("{} has no source {name}. It has: {}", mapper.name, known.join(", "));
    }
    let components: Vec<&str> = DOMAINS.iter().map(|domain| domain.component).collect();
    let body = json!({"components": components, "mapper": mapper.name});
    let registered: Value = client.send(Method::POST, MIGRATIONS, &body).await?;
    let migration: Uuid = registered["referenceId"].as_str().context("the server gave no reference id")?.parse()?;
    for name in known {
        for (_, file) in args.source.iter().filter(|(given, _)| given == name) {
            let Some((chunks, bytes)) = file_chunks(file)? else { continue };
            let bar = view.bar(&format!("Loading {name}"), Some(bytes));
            let path = format!("{MIGRATIONS}/{migration}/sources/{name}");
            upload(client, &path, chunks, |sent, _| bar.set_position(sent)).await?;
            bar.finish_and_clear();
        }
    }
    let told = json!({"from": from, "to": to});
    compared(client, view, migration, &told, args.output.json, args.figures).await
}
