//! A directory with the tables of a customer. Each file is read, or named with the reason why it is not.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::migration::run::steps::{IgnoredFile, SourceTables, TableFile, TableLength};
use crate::migration::source_files::{self, CsvArgs};

/// Source tables as files in a directory, if the user named one.
pub struct SourceDirectory {
    /// The directory.
    pub dir: Option<PathBuf>,
    /// Options of CSV tables.
    pub csv: CsvArgs,
}

/// An entry of the directory.
struct DirectoryEntry {
    name: String,
    path: PathBuf,
    is_file: bool,
}

impl SourceTables for SourceDirectory {
    fn open(&self, source: &str) -> Result<Option<TableFile>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        let Some(path) = find(dir, source)? else { return Ok(None) };
        let format = source_files::format_of(&path, &self.csv);
        let file = source_files::read_chunks(&path)?;
        Ok(file.map(|(chunks, bytes)| TableFile { format, chunks, length: TableLength::Bytes(bytes) }))
    }

    fn other_files(&self, sources: &[String]) -> Result<Vec<IgnoredFile>> {
        let Some(dir) = &self.dir else { return Ok(vec![]) };
        let mut others = vec![];
        for entry in entries(dir)? {
            let known = source_files::source_of(&entry.name)
                .is_some_and(|stem| sources.iter().any(|source| source.eq_ignore_ascii_case(stem)));
            let reason = match source_files::source_of(&entry.name) {
                _ if known && entry.is_file => continue,
                _ if !entry.is_file => "it is a directory",
                Some(_) => "the mapper has no such source",
                None => "its name has no extension of a table (.csv or .jsonl, plain or with .gz or .zst)",
            };
            others.push(IgnoredFile { file: entry.name, reason });
        }
        Ok(others)
    }
}

/// Reads a directory. The entries are in the order of their names.
fn entries(dir: &Path) -> Result<Vec<DirectoryEntry>> {
    let cannot_read = || format!("cannot read the directory {}", dir.display());
    let mut entries = vec![];
    for entry in std::fs::read_dir(dir).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        // A link to a file counts as the file.
        let is_file = !path.is_dir();
        entries.push(DirectoryEntry { name, path, is_file });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// Finds the file of a source. Letter case does not matter. Fails if there are several, or if an entry is named after the
/// source and cannot be its table.
fn find(dir: &Path, source: &str) -> Result<Option<PathBuf>> {
    let (mut found, mut unusable) = (None::<DirectoryEntry>, None::<DirectoryEntry>);
    for entry in entries(dir)? {
        let stem = source_files::source_of(&entry.name);
        if entry.is_file && stem.is_some_and(|stem| stem.eq_ignore_ascii_case(source)) {
            if let Some(one) = &found {
                bail!(
                    "{} and {} are both files of the source {source}: keep only one of them",
                    one.path.display(),
                    entry.path.display()
                );
            }
            found = Some(entry);
        } else if entry.name.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(source)) {
            unusable.get_or_insert(entry);
        }
    }
    match (found, unusable) {
        (Some(entry), _) => Ok(Some(entry.path)),
        (None, Some(entry)) => {
            bail!("{} is no table of the source {source}: {}", entry.path.display(), remedy(&entry, source))
        }
        (None, None) => Ok(None),
    }
}

/// Returns the reason why an entry cannot be the table of a source, and the remedy.
fn remedy(entry: &DirectoryEntry, source: &str) -> String {
    if !entry.is_file {
        return format!("it is a directory. Put the table into a file {source}.csv or {source}.jsonl, or move it away");
    }
    let name = entry.name.to_lowercase();
    let is = |extensions: &[&str]| extensions.iter().any(|extension| name.ends_with(extension));
    if is(&[".json"]) {
        return format!(
            "JSON Lines have one object on each line and the extension .jsonl. Convert an array with: jq -c '.[]' {} > \
             {source}.jsonl",
            entry.name
        );
    }
    if is(&[".xlsx", ".xls", ".xlsm", ".ods"]) {
        return format!("it is a workbook. Save its sheet as CSV (UTF-8) in {source}.csv");
    }
    if is(&[".zip", ".7z", ".bz2", ".xz", ".rar", ".tar", ".tgz"]) {
        return format!(
            "unpack it to {source}.csv or {source}.jsonl. The command reads gzip (.gz) and Zstandard (.zst) only"
        );
    }
    format!(
        "the command reads {source}.csv and {source}.jsonl, plain or compressed (.gz, .zst). Rename it to {source}.csv if it \
         is a table with separators, or move it away"
    )
}
