//! Files of source tables: which there are, how records stand in them, and their bytes as they are.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use sluice_client::{Chunks, Form};

/// Bytes read of a file at a time.
const CHUNK: usize = 64 * 1024;

/// What a table's file may be called after its source, the media type, and how it is compressed.
const KINDS: [(&str, &str, Option<&str>); 6] = [
    (".jsonl", LINES, None),
    (".jsonl.gz", LINES, Some("gzip")),
    (".jsonl.zst", LINES, Some("zstd")),
    (".csv", TABLE, None),
    (".csv.gz", TABLE, Some("gzip")),
    (".csv.zst", TABLE, Some("zstd")),
];

const LINES: &str = "application/jsonl";
const TABLE: &str = "text/csv";

/// How tables (CSV) are written.
#[derive(Args, Clone, Debug, Default)]
pub struct Csv {
    /// Of tables (CSV): what stands between two fields, one character or `tab` [default: a comma]
    #[arg(long, value_name = "CHAR")]
    separator: Option<String>,
    /// Of tables (CSV): what stands around a field, one character or `none` [default: a double quote]
    #[arg(long, value_name = "CHAR")]
    quote: Option<String>,
    /// Of tables (CSV): their encoding, such as windows-1250 [default: utf-8]
    #[arg(long, value_name = "NAME")]
    charset: Option<String>,
    /// Of tables (CSV) without a header: their fields' names
    #[arg(long, value_name = "LIST")]
    columns: Option<String>,
}

/// How they stand in a file, by its name.
pub fn form_of(path: &Path, csv: &Csv) -> Form {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ends = |(end, ..): &&(&str, &str, Option<&str>)| name.ends_with(end);
    let Some((_, media_type, coding)) = KINDS.iter().find(ends) else { return Form::lines() };
    if *media_type == LINES {
        return Form { coding: *coding, ..Form::lines() };
    }
    let charset = csv.charset.as_ref().map(|charset| format!("; charset={charset}")).unwrap_or_default();
    let header = if csv.columns.is_some() { "; header=absent" } else { "" };
    let given = [("separator", &csv.separator), ("quote", &csv.quote), ("columns", &csv.columns)];
    let query = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    Form { media_type: format!("{media_type}{charset}{header}"), coding: *coding, query }
}

/// The file of a source in a directory; none if there is not any.
pub fn find(dir: &Path, source: &str) -> Result<Option<PathBuf>> {
    let mut found = KINDS.iter().map(|(end, ..)| dir.join(format!("{source}{end}"))).filter(|path| path.exists());
    let file = found.next();
    if let (Some(one), Some(other)) = (&file, found.next()) {
        bail!("{} and {} are both there for the source {source}: leave one", one.display(), other.display());
    }
    Ok(file)
}

/// The source that a file is called after, if it is one of a table.
pub fn source_of(name: &str) -> Option<&str> {
    KINDS.iter().find_map(|(end, ..)| name.strip_suffix(end))
}

/// A file in chunks; none if there is nothing in it.
pub fn chunks(path: &Path) -> Result<Option<(Chunks, u64)>> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(cannot)?;
    let bytes = file.metadata().with_context(cannot)?.len();
    if bytes == 0 {
        return Ok(None);
    }
    let next = move || {
        let mut chunk = Vec::with_capacity(CHUNK);
        match Read::by_ref(&mut file).take(CHUNK as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(chunk)),
            Err(error) => Some(Err::<Vec<u8>, io::Error>(error)),
        }
    };
    Ok(Some((Box::new(std::iter::from_fn(next)), bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let csv = Csv { separator: Some(";".into()), charset: Some("windows-1250".into()), ..Csv::default() };
        let headless = Csv { columns: Some("a,b".into()), ..Csv::default() };
        for (name, csv, media_type, coding, query) in [
            ("client.jsonl", &csv, LINES, None, 0),
            ("client.jsonl.zst", &csv, LINES, Some("zstd"), 0),
            ("client.csv.gz", &csv, "text/csv; charset=windows-1250", Some("gzip"), 1),
            ("client.csv", &headless, "text/csv; header=absent", None, 1),
            ("whatever", &csv, LINES, None, 0),
        ] {
            let form = form_of(Path::new(name), csv);
            assert_eq!((&*form.media_type, form.coding, form.query.len()), (media_type, coding, query), "{name}");
        }
        assert_eq!(["a.csv.zst", "a.jsonl", "a.txt"].map(source_of), [Some("a"), Some("a"), None]);
    }
}
