//! `sluice plugin run`: maps files with a mapper on this machine, under the limits of a server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use sluice_client::{IssueView, MIGRATIONS_PATH, MapperView, PageView, ResultTally, SluiceClient};
use uuid::Uuid;

use crate::format::{counted, grouped, table};
use crate::migration::entity_path::domain_path;
use crate::migration::source_files::{self, CsvArgs};
use crate::output::print;
use crate::plugin::file_watcher::FileWatcher;
use crate::progress::ProgressDisplay;
use crate::server::local_server::{register, with_temporary_server};

/// Maximum number of issues and of quarantined records that are shown one by one. The others are counted.
const MAX_SHOWN: u64 = 20;

/// Arguments of `sluice plugin run`.
#[derive(Args)]
pub struct RunArgs {
    /// WebAssembly component of the mapper
    file: PathBuf,
    /// Source and its file, JSON Lines or a table (.csv), plain or compressed (.gz, .zst); may be given more than once.
    /// Sources that other sources look up are loaded first
    #[arg(long, value_name = "NAME=FILE", required = true, value_parser = source)]
    source: Vec<(String, PathBuf)>,
    #[command(flatten)]
    csv: CsvArgs,
    /// Configuration of a server (TOML), for its limits
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Print no records on standard output
    #[arg(long, short)]
    quiet: bool,
    /// Map again whenever the mapper or a source's file changes
    #[arg(long)]
    watch: bool,
}

/// Parses `NAME=FILE`.
pub fn source(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (name, file) = text.split_once('=').ok_or("a source is NAME=FILE, such as client=client.jsonl")?;
    Ok((name.into(), file.into()))
}

/// A log entry of a mapper: the message about a record that it failed on, or a message that it may not send.
#[derive(Deserialize)]
struct QuarantineView {
    stream: String,
    line: u64,
    code: String,
    message: String,
}

/// Results of one source.
struct SourceTally {
    source: String,
    tally: ResultTally,
    time: Duration,
}

/// Maps the files, once or after each change, and returns the exit code.
pub async fn run(args: RunArgs) -> Result<u8> {
    let progress = ProgressDisplay::new(false);
    if !args.watch {
        return run_once(&args, progress).await;
    }
    let files: Vec<PathBuf> = args.source.iter().map(|(_, file)| file.clone()).chain([args.file.clone()]).collect();
    let mut watcher = FileWatcher::new(&files)?;
    loop {
        // An error does not end the watch: a file may be half written, or the plugin may not work yet.
        if let Err(error) = run_once(&args, progress).await {
            progress.line(&format!("error: {error:#}"));
        }
        let files = counted(files.len() as u64, "file");
        progress.line(&format!("\nWaiting for a change of {files}. Press Ctrl-C to end."));
        watcher.wait_for_change().await;
    }
}

async fn run_once(args: &RunArgs, progress: ProgressDisplay) -> Result<u8> {
    let work = async |client: &SluiceClient| map(client, args, progress).await;
    with_temporary_server(progress, args.config.as_deref(), vec![args.file.clone()], work).await
}

async fn map(client: &SluiceClient, args: &RunArgs, progress: ProgressDisplay) -> Result<u8> {
    let (mapper, migration) = register(client, &args.file, &args.source).await?;
    let mut tallies = vec![];
    for source in &mapper.sources {
        let name = &source.name;
        for (_, file) in args.source.iter().filter(|(source, _)| source == name) {
            let Some((chunks, bytes)) = source_files::read_chunks(file)? else {
                progress.line(&format!("{} is empty", file.display()));
                continue;
            };
            let bar = progress.bar(&format!("Mapping {name}"), Some(bytes));
            let start = Instant::now();
            let show = |produced, records| {
                bar.set_position(produced);
                bar.set_message(grouped(records));
            };
            let format = source_files::format_of(file, &args.csv);
            let uploaded = client.upload_source(migration, name, &format, chunks, show).await;
            bar.finish_and_clear();
            if uploaded.as_ref().is_err_and(source_files::is_empty_table) {
                progress.line(&format!("{} is empty", file.display()));
                continue;
            }
            let tally = uploaded?;
            tallies.push(SourceTally { source: name.clone(), tally, time: start.elapsed() });
        }
    }
    if !args.quiet {
        print_records(client, migration, &mapper.entity_types).await?;
    }
    let limit = MAX_SHOWN.to_string();
    let issues = client.issues(migration, &[("phase", "load"), ("limit", &limit)]).await?;
    let path = format!("{MIGRATIONS_PATH}/{migration}/quarantine?limit={limit}");
    let quarantine: PageView<QuarantineView> = client.get(&path).await?;
    progress.line(&report(&mapper, &tallies, &issues, &quarantine));
    let records: u64 = tallies.iter().map(|source| source.tally.records).sum();
    progress.line(&usage(client, &mapper.name, records).await?);
    let refused: u64 = tallies.iter().map(|source| source.tally.refused()).sum();
    Ok(if refused > 0 { 2 } else { 0 })
}

/// Returns a sentence about the mapper's time and memory, from the server's metrics.
async fn usage(client: &SluiceClient, mapper: &str, records: u64) -> Result<String> {
    let (mut seconds, mut bytes) = (0.0, 0.0);
    let label = format!("{{plugin=\"{mapper}\"}} ");
    let read = |line: &str| -> Result<()> {
        let value = |metric: &str| line.strip_prefix(metric)?.strip_prefix(&label)?.parse::<f64>().ok();
        seconds = value("sluice_plugin_time_seconds").unwrap_or(seconds);
        bytes = value("sluice_plugin_memory_bytes").unwrap_or(bytes);
        Ok(())
    };
    client.stream_lines("/metrics", read).await?;
    let micros = seconds * 1e6 / records.max(1) as f64;
    let mebibytes = bytes / f64::from(1 << 20);
    Ok(format!("The mapper took {seconds:.2} s, {micros:.1} µs a record, and at most {mebibytes:.1} MiB of memory."))
}

/// Prints the produced records, each with its entity type.
async fn print_records(client: &SluiceClient, migration: Uuid, entity_types: &[String]) -> Result<()> {
    for entity_type in entity_types {
        let Some(domain) = domain_path(entity_type) else { continue };
        let path = format!("/{domain}/migrations/{migration}/staging/{entity_type}/stream");
        let print_record = |record: &str| -> Result<()> {
            print(&format!("{{\"entityType\":\"{entity_type}\",\"record\":{record}}}\n"))
        };
        client.stream_lines(&path, print_record).await?;
    }
    Ok(())
}

fn report(
    mapper: &MapperView,
    tallies: &[SourceTally],
    issues: &PageView<IssueView>,
    quarantine: &PageView<QuarantineView>,
) -> String {
    let mut out = format!("\n{} {}\n", mapper.name, mapper.version);
    let rows = tallies.iter().map(|SourceTally { source, tally, time }| {
        let rate = tally.records as f64 / time.as_secs_f64().max(0.001);
        let count = |outcome| grouped(tally.count(outcome));
        let counts =
            [count("mapped"), count("skipped"), count("rejected"), count("quarantined"), grouped(rate.round())];
        [vec![source.clone(), grouped(tally.records)], counts.to_vec()].concat()
    });
    let headers = ["source", "records", "mapped", "skipped", "rejected", "quarantined", "a second"];
    out += &table(&headers, rows);
    let skipped = tallies.iter().flat_map(|source| {
        let outcomes = source.tally.outcomes.iter().filter(|count| count.outcome == "skipped");
        outcomes.map(|count| vec![source.source.clone(), count.code.clone(), grouped(count.count)])
    });
    let skipped: Vec<_> = skipped.collect();
    if !skipped.is_empty() {
        out += &format!("\n{}", table(&["skipped", " code", "records"], skipped));
    }
    if issues.total > 0 {
        let rows = issues.items.iter().map(|issue| {
            let rule = issue.rule.as_deref().map(|rule| format!(" ({rule})")).unwrap_or_default();
            let line = issue.line.map(|line| line.to_string()).unwrap_or_default();
            vec![issue.entity_type.clone(), format!("{}{rule}", issue.code), issue.field.clone(), line]
        });
        out += &format!("\n{}, the first:\n", counted(issues.total, "issue"));
        out += &table(&["source", " code", " field", "line"], rows);
    }
    if quarantine.total > 0 {
        let entries = counted(quarantine.total, "message");
        out += &format!("\n{entries} of the mapper about records that it failed on, or with an undeclared code:\n");
        for QuarantineView { stream, line, code, message } in &quarantine.items {
            out += &format!("  {stream}, line {line}: {code}\n    {}\n", message.replace('\n', "\n    "));
        }
    }
    out
}
