//! Files of source tables: their formats and bytes.

use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use sluice_client::{BodyChunks, ClientError, UploadFormat};

/// Size of a chunk, in bytes.
const CHUNK_SIZE: usize = 64 * 1024;

/// File name extensions of tables, with media type and content encoding. Letter case does not matter.
const EXTENSIONS: [(&str, &str, Option<&str>); 9] = [
    (".jsonl", JSON_LINES, None),
    (".jsonl.gz", JSON_LINES, Some("gzip")),
    (".jsonl.zst", JSON_LINES, Some("zstd")),
    (".ndjson", JSON_LINES, None),
    (".ndjson.gz", JSON_LINES, Some("gzip")),
    (".ndjson.zst", JSON_LINES, Some("zstd")),
    (".csv", CSV, None),
    (".csv.gz", CSV, Some("gzip")),
    (".csv.zst", CSV, Some("zstd")),
];

const JSON_LINES: &str = "application/jsonl";
const CSV: &str = "text/csv";

/// Options that describe CSV tables.
#[derive(Args, Clone, Debug, Default)]
pub struct CsvArgs {
    /// CSV tables: separator between fields, one character or `tab` [default: a comma, or what a first line `sep=;` names]
    #[arg(long, value_name = "CHAR")]
    separator: Option<String>,
    /// CSV tables: quote around a field, one character or `none` [default: a double quote]
    #[arg(long, value_name = "CHAR")]
    quote: Option<String>,
    /// CSV tables: character encoding, such as windows-1250 [default: utf-8]
    #[arg(long, value_name = "NAME")]
    charset: Option<String>,
    /// CSV tables without a header: names of the fields, separated by commas
    #[arg(long, value_name = "LIST")]
    columns: Option<String>,
}

/// Returns the media type and the content encoding of a file by its name, with the name without its extension.
fn extension(name: &str) -> Option<(&str, &'static str, Option<&'static str>)> {
    EXTENSIONS.iter().find_map(|(extension, media_type, encoding)| {
        let stem = name.len().checked_sub(extension.len())?;
        let (stem, end) = name.split_at_checked(stem)?;
        end.eq_ignore_ascii_case(extension).then_some((stem, *media_type, *encoding))
    })
}

/// Returns the format of a file by its name. A file with another extension is read as JSON Lines.
pub fn format_of(path: &Path, csv: &CsvArgs) -> UploadFormat {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((_, media_type, encoding)) = extension(&name) else { return UploadFormat::json_lines() };
    if media_type == JSON_LINES {
        return UploadFormat { content_encoding: encoding, ..UploadFormat::json_lines() };
    }
    let charset = csv.charset.as_ref().map(|charset| format!("; charset={charset}")).unwrap_or_default();
    let header = if csv.columns.is_some() { "; header=absent" } else { "" };
    let options = [("separator", &csv.separator), ("quote", &csv.quote), ("columns", &csv.columns)];
    let query = options.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    UploadFormat { media_type: format!("{media_type}{charset}{header}"), content_encoding: encoding, query }
}

/// Returns the source that a file name stands for, if it has the extension of a table.
pub fn source_of(name: &str) -> Option<&str> {
    extension(name).map(|(stem, ..)| stem)
}

/// Opens a file and returns its chunks and its size in bytes, or none if it is empty.
pub fn read_chunks(path: &Path) -> Result<Option<(BodyChunks, u64)>> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(cannot_read)?;
    let metadata = file.metadata().with_context(cannot_read)?;
    if metadata.is_dir() {
        bail!("{} is a directory, and not a table", path.display());
    }
    let bytes = metadata.len();
    if bytes == 0 {
        return Ok(None);
    }
    let next = move || {
        let mut chunk = Vec::with_capacity(CHUNK_SIZE);
        match Read::by_ref(&mut file).take(CHUNK_SIZE as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(chunk)),
            Err(error) => Some(Err::<Vec<u8>, io::Error>(error)),
        }
    };
    Ok(Some((Box::new(std::iter::from_fn(next)), bytes)))
}

/// Returns true if the server refused a table because it is empty, such as the compressed form of an empty file.
pub fn is_empty_table(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { problem, .. } if problem.code.as_deref() == Some("EMPTY_BODY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let csv = CsvArgs { separator: Some(";".into()), charset: Some("windows-1250".into()), ..CsvArgs::default() };
        let headless = CsvArgs { columns: Some("a,b".into()), ..CsvArgs::default() };
        for (name, csv, media_type, encoding, query) in [
            ("client.jsonl", &csv, JSON_LINES, None, 0),
            ("client.jsonl.zst", &csv, JSON_LINES, Some("zstd"), 0),
            ("client.ndjson", &csv, JSON_LINES, None, 0),
            ("client.csv.gz", &csv, "text/csv; charset=windows-1250", Some("gzip"), 1),
            ("CLIENT.CSV", &csv, "text/csv; charset=windows-1250", None, 1),
            ("client.csv", &headless, "text/csv; header=absent", None, 1),
            ("whatever", &csv, JSON_LINES, None, 0),
        ] {
            let format = format_of(Path::new(name), csv);
            let found = (&*format.media_type, format.content_encoding, format.query.len());
            assert_eq!(found, (media_type, encoding, query), "{name}");
        }
        let names = ["a.csv.zst", "a.JSONL.gz", "a.txt", "é.c"];
        assert_eq!(names.map(source_of), [Some("a"), Some("a"), None, None]);
    }
}
