//! `sluice plugin compare`: compares two mappers on the same files, on this machine.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sluice_client::SluiceClient;

use crate::migration::compare::compare;
use crate::migration::source_files::{self, CsvArgs};
use crate::output::OutputArgs;
use crate::plugin::run::source;
use crate::progress::ProgressDisplay;
use crate::server::local_server::{file_digest, register, with_temporary_server};

/// Arguments of `sluice plugin compare`.
#[derive(Args)]
pub struct PluginCompareArgs {
    /// WebAssembly component of the current mapper
    from: PathBuf,
    /// WebAssembly component of the mapper to compare with it
    to: PathBuf,
    /// Source and its file, JSON Lines or a table (.csv), plain or compressed (.gz, .zst); may be given more than once.
    /// Sources that other sources look up are loaded first
    #[arg(long, value_name = "NAME=FILE", required = true, value_parser = source)]
    source: Vec<(String, PathBuf)>,
    #[command(flatten)]
    csv: CsvArgs,
    /// Configuration of a server (TOML), for its limits
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Print counts and sums only, no records
    #[arg(long)]
    figures: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Compares the mappers and returns the exit code.
pub async fn run(args: PluginCompareArgs) -> Result<u8> {
    let progress = args.output.progress();
    let mappers = vec![args.from.clone(), args.to.clone()];
    let work = async |client: &SluiceClient| compare_on(client, &args, progress).await;
    with_temporary_server(progress, args.config.as_deref(), mappers, work).await
}

async fn compare_on(client: &SluiceClient, args: &PluginCompareArgs, progress: ProgressDisplay) -> Result<u8> {
    let from = file_digest(&args.from)?;
    // If both mappers have the same name, the server lists the second one.
    let (mapper, migration) = register(client, &args.to, &args.source).await?;
    for source in &mapper.sources {
        let name = &source.name;
        for (_, file) in args.source.iter().filter(|(source, _)| source == name) {
            let Some((chunks, bytes)) = source_files::read_chunks(file)? else { continue };
            let bar = progress.bar(&format!("Loading {name}"), Some(bytes));
            let format = source_files::format_of(file, &args.csv);
            let uploaded =
                client.upload_source(migration, name, &format, chunks, |sent, _| bar.set_position(sent)).await;
            bar.finish_and_clear();
            if !uploaded.as_ref().is_err_and(source_files::is_empty_table) {
                uploaded?;
            }
        }
    }
    let parameters = json!({"from": from, "to": mapper.digest});
    compare(client, migration, &parameters, &args.output, args.figures).await
}
