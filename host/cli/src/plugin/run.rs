//! `sluice plugin run`: maps files with a mapper on this machine, as a server would.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Deserialize;

use crate::migration::invalid_records::path_of;
use crate::migration::report_text::table;
use crate::migration::source_files as files;
use crate::migration::source_files::{Csv, form_of};
use crate::migration::steps::MIGRATIONS;
use crate::plugin::watch::Watch;
use crate::server::local_server::{Mapper, Source, registered, throw_away};
use crate::view::{View, counted, grouped, print};
use sluice_client::Client;
use sluice_client::{Tally, upload};

/// Records that went wrong which are shown one by one; the rest is counted.
const SHOWN: u64 = 20;

/// What `sluice plugin run` is told.
#[derive(Args)]
pub struct Run {
    /// The mapper, a WebAssembly component
    file: PathBuf,
    /// A source and its file, of JSON lines or a table (.csv), compressed (.gz, .zst) or not; may be given more than once.
    /// Sources that others look up are loaded first
    #[arg(long, value_name = "NAME=FILE", required = true, value_parser = source)]
    source: Vec<(String, PathBuf)>,
    #[command(flatten)]
    csv: Csv,
    /// Limits (TOML), as a server has them
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// No records on standard output
    #[arg(long, short)]
    quiet: bool,
    /// Map again whenever the mapper or a source's file changes
    #[arg(long)]
    watch: bool,
}

/// Reads `NAME=FILE`.
pub fn source(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (name, file) = text.split_once('=').ok_or("it is not NAME=FILE, such as client=client.jsonl")?;
    Ok((name.into(), file.into()))
}

#[derive(Deserialize)]
struct Listing<T> {
    items: Vec<T>,
    total: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issue {
    entity_type: String,
    line: Option<u64>,
    code: String,
    field: String,
    rule: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    stream: String,
    line: u64,
    code: String,
    message: String,
}

/// What became of one source.
struct Mapped {
    source: String,
    tally: Tally,
    took: Duration,
}

/// Runs it; the exit code.
pub async fn run(args: Run) -> Result<u8> {
    let view = View::new(false);
    if !args.watch {
        return once(&args, view).await;
    }
    let files: Vec<PathBuf> = args.source.iter().map(|(_, file)| file.clone()).chain([args.file.clone()]).collect();
    let mut watch = Watch::new(&files)?;
    loop {
        // A file that is being written, or a plugin that does not work yet, is what watching is for.
        if let Err(error) = once(&args, view).await {
            view.line(&format!("error: {error:#}"));
        }
        view.line(&format!("\nWaiting for a change of {}. Ctrl-C ends it.", counted(files.len() as u64, "file")));
        watch.changed().await;
    }
}

async fn once(args: &Run, view: View) -> Result<u8> {
    let mappers = vec![args.file.clone()];
    throw_away(view, args.config.as_deref(), mappers, async |client| map(args, view, client).await).await
}

async fn map(args: &Run, view: View, client: &Client) -> Result<u8> {
    let (mapper, id) = registered(client, &args.file, &args.source).await?;
    let path = format!("{MIGRATIONS}/{id}");
    let mut mapped = vec![];
    for Source { name: source } in &mapper.sources {
        for (_, file) in args.source.iter().filter(|(name, _)| name == source) {
            let Some((chunks, bytes)) = files::chunks(file)? else {
                view.line(&format!("{} is empty", file.display()));
                continue;
            };
            let bar = view.bar(&format!("Mapping {source}"), Some(bytes));
            let began = Instant::now();
            let to = format!("{path}/sources/{source}");
            let seen = |made, records| {
                bar.set_position(made);
                bar.set_message(grouped(records));
            };
            let tally = upload(client, &to, &form_of(file, &args.csv), chunks, seen).await?;
            bar.finish_and_clear();
            mapped.push(Mapped { source: source.clone(), tally, took: began.elapsed() });
        }
    }
    if !args.quiet {
        show_records(client, &id, &mapper.entity_types).await?;
    }
    let issues: Listing<Issue> = client.get(&format!("{path}/issues?phase=load&limit={SHOWN}")).await?;
    let said: Listing<Said> = client.get(&format!("{path}/quarantine?limit={SHOWN}")).await?;
    view.line(&report(&mapper, &mapped, &issues, &said));
    let records: u64 = mapped.iter().map(|mapped| mapped.tally.records).sum();
    view.line(&took(client, &mapper.name, records).await?);
    let refused: u64 = mapped.iter().map(|mapped| mapped.tally.refused()).sum();
    Ok(if refused > 0 { 2 } else { 0 })
}

/// What the mapper took, in a sentence: the server counts it.
async fn took(client: &Client, name: &str, records: u64) -> Result<String> {
    let (mut seconds, mut bytes) = (0.0, 0.0);
    let label = format!("{{plugin=\"{name}\"}} ");
    let read = |line: &str| {
        let figure = |metric: &str| line.strip_prefix(metric)?.strip_prefix(&label)?.parse::<f64>().ok();
        seconds = figure("sluice_plugin_time_seconds").unwrap_or(seconds);
        bytes = figure("sluice_plugin_memory_bytes").unwrap_or(bytes);
        Ok(())
    };
    client.lines("/metrics", read).await?;
    let each = seconds * 1e6 / records.max(1) as f64;
    let megabytes = bytes / f64::from(1 << 20);
    Ok(format!("The mapper took {seconds:.2} s, {each:.1} µs a record, and at most {megabytes:.1} MiB of memory."))
}

/// The records that were made, each with its entity type.
async fn show_records(client: &Client, id: &str, entity_types: &[String]) -> Result<()> {
    for entity_type in entity_types {
        let Some(domain) = path_of(entity_type) else { continue };
        let path = format!("/{domain}/migrations/{id}/staging/{entity_type}/stream");
        let show = |record: &str| Ok(print(&format!("{{\"entityType\":\"{entity_type}\",\"record\":{record}}}\n"))?);
        client.lines(&path, show).await?;
    }
    Ok(())
}

fn report(mapper: &Mapper, mapped: &[Mapped], issues: &Listing<Issue>, said: &Listing<Said>) -> String {
    let mut out = format!("\n{} {}\n", mapper.name, mapper.version);
    let rows = mapped.iter().map(|Mapped { source, tally, took }| {
        let rate = tally.records as f64 / took.as_secs_f64().max(0.001);
        let of = |outcome| grouped(tally.of(outcome));
        let figures = [of("mapped"), of("skipped"), of("rejected"), of("quarantined"), grouped(rate.round())];
        [vec![source.clone(), grouped(tally.records)], figures.to_vec()].concat()
    });
    let headers = ["source", "records", "mapped", "skipped", "rejected", "quarantined", "a second"];
    out += &table(&headers, rows);
    let skipped = mapped.iter().flat_map(|mapped| {
        let outcomes = mapped.tally.outcomes.iter().filter(|count| count.outcome == "skipped");
        outcomes.map(|count| vec![mapped.source.clone(), count.code.clone(), grouped(count.count)])
    });
    let skipped: Vec<_> = skipped.collect();
    if !skipped.is_empty() {
        out += &format!("\n{}", table(&["skipped", " why", "records"], skipped));
    }
    if issues.total > 0 {
        let rows = issues.items.iter().map(|issue| {
            let rule = issue.rule.as_deref().map(|rule| format!(" ({rule})")).unwrap_or_default();
            let line = issue.line.map(|line| line.to_string()).unwrap_or_default();
            vec![issue.entity_type.clone(), format!("{}{rule}", issue.code), issue.field.clone(), line]
        });
        out += &format!("\n{}, the first:\n", counted(issues.total, "issue"));
        out += &table(&["where", " what", " field", "line"], rows);
    }
    if said.total > 0 {
        let many = counted(said.total, "entry");
        out += &format!("\nWhat the mapper said of records that broke it, or without having declared it, {many}:\n");
        for Said { stream, line, code, message } in &said.items {
            out += &format!("  {stream}, line {line}: {code}\n    {}\n", message.replace('\n', "\n    "));
        }
    }
    out
}
