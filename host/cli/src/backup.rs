//! `sluice backup` and `sluice restore`: backups of a data directory without its keys.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use sluice_audit::Action;
use sluice_backup::{BackupMigration, BackupMigrationState, BackupProgress, BackupSummary};
use sluice_data_dir::{CATALOG_FILE, RESTORING_DIR};

use crate::format::{counted, grouped, table};
use crate::output::{OutputArgs, print};
use crate::progress::ProgressDisplay;
use crate::server::data_dir::DataDirArgs;

/// Arguments of `sluice backup`.
#[derive(Args)]
pub struct BackupArgs {
    /// Folder of the backup, which is created
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Check an existing backup instead of taking one
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sluice restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// Folder of the backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Takes or checks a backup and returns the exit code.
pub fn backup(args: BackupArgs) -> Result<u8> {
    let BackupArgs { backup, verify, data_dir, output } = args;
    let progress = BackupProgressBar::new(&output);
    if verify {
        let keys = data_dir.existing_keys()?;
        let summary = sluice_backup::verify(&backup, keys.as_ref(), &progress);
        let summary = summary.with_context(|| format!("{} is not a whole backup", backup.display()))?;
        return report(&format!("{} is whole", backup.display()), &summary, &output);
    }
    let path = data_dir.path();
    if path.join(RESTORING_DIR).exists() || !path.join(CATALOG_FILE).exists() {
        bail!("{} is not a server's data directory: name it with --data-dir", path.display());
    }
    let signer = data_dir.audit(Action::BackupBegun, |entry| entry)?;
    let keys = data_dir.existing_keys()?;
    let summary = sluice_backup::take(path, &data_dir.store()?, &backup, &signer, keys.as_ref(), &progress);
    let summary = summary.with_context(|| format!("no backup was taken of {}", path.display()))?;
    report(&format!("{} is a whole backup of {}", backup.display(), path.display()), &summary, &output)
}

/// Restores a backup and returns the exit code.
pub fn restore(args: RestoreArgs) -> Result<u8> {
    let RestoreArgs { backup, data_dir, output } = args;
    let (directory, master_key) = data_dir.key_locations()?;
    let is_key = |path: &Path| path == directory || path == master_key;
    let (keys, progress) = (data_dir.existing_keys()?, BackupProgressBar::new(&output));
    let summary = sluice_backup::restore(&backup, data_dir.path(), &is_key, keys.as_ref(), &progress);
    let summary = summary.with_context(|| format!("{} was not restored", backup.display()))?;
    report(&format!("{} is restored from {}", data_dir.path().display(), backup.display()), &summary, &output)
}

/// Progress bars, one for each step.
struct BackupProgressBar {
    progress: ProgressDisplay,
    bar: RefCell<ProgressBar>,
}

impl BackupProgressBar {
    fn new(output: &OutputArgs) -> Self {
        Self { progress: output.progress(), bar: ProgressBar::hidden().into() }
    }
}

impl BackupProgress for BackupProgressBar {
    fn step_started(&self, step: &'static str, bytes: u64) {
        self.bar.replace(self.progress.bar(step, Some(bytes))).finish_and_clear();
        self.progress.line(&format!("{step}: {}", megabytes(bytes)));
    }

    fn advanced(&self, bytes: u64) {
        self.bar.borrow().inc(bytes);
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped(format!("{:.1}", bytes as f64 / 1e6)))
}

/// Prints a summary after a sentence about what was done, and returns the exit code.
fn report(done: &str, summary: &BackupSummary, output: &OutputArgs) -> Result<u8> {
    let text = if output.json { format!("{:#}\n", json!(summary)) } else { text(done, summary) };
    print(&text)?;
    Ok(if summary.migrations.iter().any(|migration| migration.state == BackupMigrationState::Damaged) { 2 } else { 0 })
}

fn text(done: &str, summary: &BackupSummary) -> String {
    let BackupSummary { at, version, files, bytes, key, key_is_there, trails, entries, migrations } = summary;
    let signer = if *key_is_there { "by this server's key" } else { "NOT verified: this server's key is not here" };
    let mut text = format!(
        "{done}\nof      {at}, by Sluice {version}\nfiles   {}, {}\ntrails  {}, sound, {}\nsigned  {key} ({signer})\n",
        counted(*files, "file"),
        megabytes(*bytes),
        grouped(trails),
        counted(*entries, "entry"),
    );
    if !migrations.is_empty() {
        let headers =
            ["Migration", " Staging", " Import", "Source records", "Records", "Resumable uploads", " Checked"];
        text += &format!("\n{}", table(&headers, migrations.iter().map(row)));
    }
    let count = |state| migrations.iter().filter(|migration| migration.state == state).count() as u64;
    text += &match count(BackupMigrationState::Damaged) {
        0 => String::new(),
        damaged => format!("\nDAMAGED before the backup: {}. All others are whole.\n", counted(damaged, "migration")),
    };
    text += "\nA backup holds no keys.";
    text += &match (key_is_there, count(BackupMigrationState::KeyMissing)) {
        (false, _) => " There are no keys here: put the master key and the key directory in place before you start a \
                       server, and check with `sluice backup --verify`.\n"
            .to_owned(),
        (true, 0) => " The keys here open everything.\n".to_owned(),
        (true, missing) => format!(
            " The keys here do not open {}. Its key was erased after the backup, or it is elsewhere. Without the key, \
             its records cannot be read.\n",
            counted(missing, "migration")
        ),
    };
    text
}

fn row(migration: &BackupMigration) -> Vec<String> {
    let sum = |kind: &str| match &migration.records {
        Some(records) => {
            grouped(records.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, count)| count).sum::<u64>())
        }
        None => "?".to_owned(),
    };
    let checked = match migration.state {
        BackupMigrationState::Empty => "nothing is staged".to_owned(),
        BackupMigrationState::Erased => "erased".to_owned(),
        BackupMigrationState::Opened => "opened".to_owned(),
        BackupMigrationState::Damaged => format!("DAMAGED: {}", migration.problem.as_deref().unwrap_or_default()),
        BackupMigrationState::KeyMissing => {
            format!("KEY MISSING, checksums of {}", counted(migration.entries, "entry"))
        }
    };
    vec![
        migration.reference_id.to_string(),
        format!("{:?}", migration.staging_status),
        format!("{:?}", migration.import_status),
        sum("source/"),
        sum("records/"),
        grouped(migration.uploads),
        checked,
    ]
}
