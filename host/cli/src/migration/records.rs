//! `sluice records`: source records as they were uploaded, so that they can be corrected and uploaded again.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use sluice_client::{HeaderMap, MIGRATIONS_PATH, PageView, SluiceClient};

use crate::format::counted;
use crate::migration::args::{MigrationArgs, OutcomeArg};
use crate::output::{warn, write};

/// Arguments of `sluice records`.
#[derive(Args)]
pub struct RecordsArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Source of the records [default: every source]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only records with this outcome; may be given more than once
    #[arg(long, value_name = "OUTCOME")]
    outcome: Vec<OutcomeArg>,
    /// Only records whose outcome has this code
    #[arg(long)]
    code: Option<String>,
    /// Only records with an issue of this code or rule: of the upload, or of the last validation
    #[arg(long, value_name = "CODE")]
    issue: Option<String>,
    /// Only records of the upload with this number
    #[arg(long, value_name = "NUMBER")]
    upload: Option<u32>,
    /// Write a file for each source into this directory, such as client.csv [default: print the records of one source]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the records and returns the exit code.
pub async fn run(args: RecordsArgs) -> Result<u8> {
    let client = args.migration.client()?;
    let path = format!("{MIGRATIONS_PATH}/{}/sources", args.migration.migration);
    let sources = match &args.source {
        Some(source) => vec![source.clone()],
        None => {
            let sources: PageView<Value> = client.get(&path).await?;
            sources.items.iter().filter_map(|source| source["source"].as_str().map(str::to_owned)).collect()
        }
    };
    let query = query(&args);
    let mut printed: Option<&str> = None;
    for source in &sources {
        let records = format!("{path}/{source}/records?{query}");
        let Some(out) = &args.out else {
            // Only a source with records is printed.
            let mut lines = Destination { printed, source, written: false };
            download(&client, &records, source, &mut lines).await?;
            printed = if lines.written { Some(source) } else { printed };
            continue;
        };
        write_file(&client, &records, source, out).await?;
    }
    Ok(0)
}

fn query(args: &RecordsArgs) -> String {
    let outcomes: Vec<&str> = args.outcome.iter().map(|outcome| outcome.name()).collect();
    let filters = [
        ("form", Some("uploaded".into())),
        ("outcome", (!outcomes.is_empty()).then(|| outcomes.join(","))),
        ("code", args.code.clone()),
        ("issue", args.issue.clone()),
        ("upload", args.upload.map(|upload| upload.to_string())),
    ];
    let query: Vec<String> =
        filters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
    query.join("&")
}

/// Standard output, which takes the records of one source.
struct Destination<'a> {
    /// Source whose records are printed already.
    printed: Option<&'a str>,
    source: &'a str,
    written: bool,
}

impl Destination<'_> {
    fn write(&mut self, piece: &[u8]) -> Result<()> {
        if let Some(printed) = self.printed {
            let source = self.source;
            bail!(
                "{printed} and {source} both have such records: choose one with --source, or write files with --out DIR"
            );
        }
        self.written = true;
        write(piece)
    }
}

/// Downloads records, and says on standard error how they are uploaded again.
async fn download(client: &SluiceClient, path: &str, source: &str, destination: &mut Destination<'_>) -> Result<()> {
    let mut note = None;
    client
        .download(path, |headers| {
            note = Some(note_of(headers, source));
            Ok::<_, anyhow::Error>(|piece: &[u8]| destination.write(piece))
        })
        .await?;
    if destination.written {
        note.into_iter().for_each(|note| warn(&note));
    }
    Ok(())
}

async fn write_file(client: &SluiceClient, path: &str, source: &str, dir: &Path) -> Result<()> {
    let mut note = None;
    let mut file: Option<(PathBuf, BufWriter<std::fs::File>)> = None;
    let mut place = PathBuf::new();
    client
        .download(path, |headers| {
            let media_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let extension = if media_type.starts_with("text/csv") { "csv" } else { "jsonl" };
            place = dir.join(format!("{source}.{extension}"));
            note = Some(note_of(headers, source));
            let (place, file) = (&place, &mut file);
            Ok::<_, anyhow::Error>(move |piece: &[u8]| {
                if file.is_none() {
                    let new = std::fs::File::create_new(place);
                    let new = new.with_context(|| format!("cannot create {}", place.display()))?;
                    *file = Some((place.clone(), BufWriter::new(new)));
                }
                let (_, file) = file.as_mut().expect("just created");
                Ok(file.write_all(piece)?)
            })
        })
        .await?;
    if let Some((place, mut file)) = file {
        file.flush().with_context(|| format!("cannot write {}", place.display()))?;
        warn(&format!("Wrote {}\n", place.display()));
        note.into_iter().for_each(|note| warn(&note));
    }
    Ok(())
}

/// Returns notes about a download: how the records are uploaded again, and which are missing.
fn note_of(headers: &HeaderMap, source: &str) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut note = String::new();
    if let Some(media_type) = text("content-type").filter(|media_type| media_type.starts_with("text/csv")) {
        note += &format!("Correct the rows of {source}, and upload them with Content-Type: {media_type}");
        note += &text("sluice-upload-query").map(|query| format!(" and ?{query}")).unwrap_or_default();
        note += ".\n";
    }
    let number = |name: &str| text(name).and_then(|number| number.parse::<u64>().ok()).filter(|number| *number > 0);
    if let Some(not_kept) = number("sluice-records-not-kept") {
        let records = counted(not_kept, "record");
        note += &format!("{records} of {source} were too long to be kept, and are missing here.\n");
    }
    if let Some(unlisted) = number("sluice-issues-unlisted") {
        let issues = counted(unlisted, "issue");
        note += &format!(
            "{issues} are not listed, and their records are missing here: correct these and validate again.\n"
        );
    }
    note
}
