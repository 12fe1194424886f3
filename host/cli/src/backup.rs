//! `sluice backup` and `sluice restore`: everything of a data directory but its keys, beside the server, and back
//! again.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use sluice_audit::Action;
use sluice_backup::{Found, State, Summary, Watch};
use sluice_data_dir::{CATALOGUE_FILE, RESTORING_DIR};

use crate::access::Place;
use crate::commands::Output;
use crate::migration::report_text::table;
use crate::view::{View, counted, grouped, print};

/// What `sluice backup` is told.
#[derive(Args)]
pub struct Backup {
    /// The backup, a folder; it is made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Check the backup that is there, and take none
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// What `sluice restore` is told.
#[derive(Args)]
pub struct Restore {
    /// The backup, a folder
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// Does what `sluice backup` was told; the exit code.
pub fn backup(args: Backup) -> Result<u8> {
    let Backup { backup, verify, place, output } = args;
    let shown = Shown::new(&output);
    if verify {
        let keys = place.keys()?;
        let summary = sluice_backup::verify(&backup, keys.as_ref(), &shown);
        let summary = summary.with_context(|| format!("{} is not a whole backup", backup.display()))?;
        return report(&format!("{} is whole", backup.display()), &summary, &output);
    }
    let data_dir = place.data_dir();
    if data_dir.join(RESTORING_DIR).exists() || !data_dir.join(CATALOGUE_FILE).exists() {
        bail!("{} is not a server's data directory: name it with --data-dir", data_dir.display());
    }
    let signer = place.audit(Action::BackupBegun, |entry| entry)?;
    let keys = place.keys()?;
    let summary = sluice_backup::take(data_dir, &place.store()?, &backup, &signer, keys.as_ref(), &shown);
    let summary = summary.with_context(|| format!("no backup was made of {}", data_dir.display()))?;
    report(&format!("{} is a whole backup of {}", backup.display(), data_dir.display()), &summary, &output)
}

/// Does what `sluice restore` was told; the exit code.
pub fn restore(args: Restore) -> Result<u8> {
    let Restore { backup, place, output } = args;
    let data_dir = place.data_dir();
    let (directory, master_key) = place.key_places()?;
    let is_key = |path: &Path| path == directory || path == master_key;
    let (keys, shown) = (place.keys()?, Shown::new(&output));
    let summary = sluice_backup::restore(&backup, data_dir, &is_key, keys.as_ref(), &shown);
    let summary = summary.with_context(|| format!("{} was not restored", backup.display()))?;
    report(&format!("{} is restored from {}", data_dir.display(), backup.display()), &summary, &output)
}

/// Progress, a bar a step.
struct Shown {
    view: View,
    bar: RefCell<ProgressBar>,
}

impl Shown {
    fn new(output: &Output) -> Self {
        Self { view: View::new(output.quiet || output.json), bar: ProgressBar::hidden().into() }
    }
}

impl Watch for Shown {
    fn begins(&self, step: &'static str, bytes: u64) {
        self.bar.replace(self.view.bar(step, Some(bytes))).finish_and_clear();
        self.view.line(&format!("{step}: {}", megabytes(bytes)));
    }

    fn did(&self, bytes: u64) {
        self.bar.borrow().inc(bytes);
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped(format!("{:.1}", bytes as f64 / 1e6)))
}

fn report(done: &str, summary: &Summary, output: &Output) -> Result<u8> {
    let text = if output.json { format!("{:#}\n", json!(summary)) } else { text(done, summary) };
    print(&text)?;
    Ok(if summary.migrations.iter().any(|found| found.state == State::Damaged) { 2 } else { 0 })
}

fn text(done: &str, summary: &Summary) -> String {
    let Summary { at, version, files, bytes, key, key_is_there, trails, entries, migrations } = summary;
    let known = if *key_is_there { "its key is there" } else { "NOT verified with a key that is there" };
    let mut text = format!(
        "{done}\nof      {at}, by Sluice {version}\nfiles   {}, {}\ntrails  {}, sound, {}\nsigned  {key} ({known})\n",
        counted(*files, "file"),
        megabytes(*bytes),
        grouped(trails),
        counted(*entries, "entry"),
    );
    if !migrations.is_empty() {
        let headers = ["Migration", " Staging", " Import", "Source records", "Records", "Uploads in parts", " Checked"];
        text += &format!("\n{}", table(&headers, migrations.iter().map(row)));
    }
    let missing = migrations.iter().filter(|found| found.state == State::KeyMissing).count() as u64;
    text += &match migrations.iter().filter(|found| found.state == State::Damaged).count() as u64 {
        0 => String::new(),
        damaged => format!("\nDAMAGED as it was backed up: {}. All others are whole.\n", counted(damaged, "migration")),
    };
    text += "\nA backup holds no keys.";
    text += &match (key_is_there, missing) {
        (false, _) => " None are there: put the master key and the key directory in their places before a server is \
                       started, and check with `sluice backup --verify`.\n"
            .to_owned(),
        (true, 0) => " Those that are there open everything.\n".to_owned(),
        (true, missing) => format!(
            " Those that are there do not open {}: erased since, or their keys are elsewhere. Their records cannot be \
             read.\n",
            counted(missing, "migration")
        ),
    };
    text
}

fn row(found: &Found) -> Vec<String> {
    let sum = |kind: &str| match &found.records {
        Some(records) => {
            grouped(records.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, live)| live).sum::<u64>())
        }
        None => "?".to_owned(),
    };
    let checked = match found.state {
        State::Empty => "nothing is staged".to_owned(),
        State::Erased => "erased".to_owned(),
        State::Opened => "opened".to_owned(),
        State::Damaged => format!("DAMAGED: {}", found.problem.as_deref().unwrap_or_default()),
        State::KeyMissing => format!("KEY MISSING, checksums of {}", counted(found.entries, "entry")),
    };
    vec![
        found.reference_id.to_string(),
        format!("{:?}", found.staging_status),
        format!("{:?}", found.import_status),
        sum("source/"),
        sum("records/"),
        grouped(found.uploads),
        checked,
    ]
}
