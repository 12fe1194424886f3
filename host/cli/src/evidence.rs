//! `sluice evidence verify`: verification of evidence against its signature, the target and the audit trail.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use sluice_audit::{AuditScope, verify_evidence};
use sluice_keys::PublicKey;
use sluice_model::JobState;
use sluice_pipeline::{EvidenceBundle, FigureComparison, verify_counts};

use crate::audit::{key_line, parse_key, verify_file};
use crate::format::{counted, grouped, table};
use crate::output::print;

/// Arguments of `sluice evidence`.
#[derive(Args)]
pub struct EvidenceArgs {
    #[command(subcommand)]
    command: EvidenceCommand,
}

#[derive(Subcommand)]
enum EvidenceCommand {
    /// Verify a migration's evidence; the file alone is enough
    #[command(
        after_help = "Example: sluice evidence verify evidence.jsonl --key audit.key --target platform.db --audit \
                      audit.jsonl\n\nExit codes: 0 the evidence is as it was signed and agrees with the target and the \
                      trail, 1 it does not."
    )]
    Verify {
        /// The evidence: the response to GET …/evidence
        file: PathBuf,
        /// The server's public key as hexadecimal digits, or a file with the response to GET /audit/key
        #[arg(long, value_name = "KEY-OR-FILE")]
        key: Option<String>,
        /// The platform database or a copy of it, in which the imported records are counted again
        #[arg(long, value_name = "FILE")]
        target: Option<PathBuf>,
        /// An export of the migration's audit trail, which must hold the entry that the evidence names
        #[arg(long, value_name = "FILE")]
        audit: Option<PathBuf>,
    },
}

/// Runs a verb of `sluice evidence` and returns its exit code.
pub fn run(args: EvidenceArgs) -> Result<u8> {
    let EvidenceCommand::Verify { file, key, target, audit } = args.command;
    let pinned = key.as_deref().map(parse_key).transpose()?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let opened = match verify_evidence(&bytes, pinned.as_ref()) {
        Ok(opened) => opened,
        Err(fault) => {
            print(&format!("BROKEN {}: the evidence {fault}\n", file.display()))?;
            return Ok(1);
        }
    };
    let bundle = EvidenceBundle::read(opened.document)
        .with_context(|| format!("{} is signed, but it is not evidence of this version", file.display()))?;
    let mut text = summary(&bundle) + &key_line(&opened.key, pinned.is_some());
    let mut good = bundle.audit.is_signed_by(bundle.migration, &opened.key);
    if !good {
        text += "BROKEN the audit trail's head in the evidence has a wrong signature\n";
    }
    if let Some(export) = audit {
        let (line, agrees) = compare_trail(&bundle, &export, &opened.key)?;
        text += &line;
        good &= agrees;
    }
    if let Some(target) = target {
        let compared = verify_counts(&bundle, &target)
            .with_context(|| format!("cannot count the records in {}", target.display()))?;
        let differing = compared.iter().filter(|compared| !compared.agrees()).count();
        text += &format!("\n{}", comparison_table(&compared));
        text += &match differing {
            0 => "The target agrees with the evidence.\n".to_owned(),
            1 => "DIFFERENT: 1 count of the target is not as the evidence says.\n".to_owned(),
            differing => format!("DIFFERENT: {differing} counts of the target are not as the evidence says.\n"),
        };
        good &= differing == 0;
    }
    print(&text)?;
    Ok(u8::from(!good))
}

fn summary(bundle: &EvidenceBundle) -> String {
    let agreed = match bundle.counts.state {
        JobState::Succeeded => "staging and target agreed",
        _ => "staging and target DIFFERED",
    };
    let uploads = counted(bundle.uploads.len() as u64, "upload");
    let plugins = counted(bundle.plugins.len() as u64, "plugin");
    format!(
        "signed evidence of migration {}\nmade   {} by version {}\ncounts {}, {agreed}\nwith   {uploads}, {plugins}, audit \
         entries {} to {}\n",
        bundle.migration,
        bundle.generated_at,
        bundle.server_version,
        bundle.counts.finished_at.unwrap_or(bundle.counts.started_at),
        bundle.audit.first,
        bundle.audit.last,
    )
}

/// Verifies an export of the trail, and compares the entry that the evidence names as the last. Returns a line for the
/// report, and true if they agree.
fn compare_trail(bundle: &EvidenceBundle, export: &Path, key: &PublicKey) -> Result<(String, bool)> {
    let path = export.display();
    Ok(match verify_file(export, Some(key))? {
        Err(broken) => (format!("BROKEN {path}: {broken}\n"), false),
        Ok(verified) if verified.scope != AuditScope::Migration(bundle.migration) => {
            (format!("BROKEN {path}: it is the trail of {}\n", verified.scope), false)
        }
        Ok(verified) => {
            let last = bundle.audit.last;
            let hash = last.checked_sub(1).and_then(|index| verified.hashes.get(usize::try_from(index).ok()?));
            match hash {
                _ if last == 0 => ("trail  sound; it was empty when the evidence was made\n".to_owned(), true),
                Some(hash) if *hash == bundle.audit.hash => {
                    (format!("trail  sound, and entry {last} is as the evidence says\n"), true)
                }
                Some(_) => (format!("BROKEN {path}: entry {last} is not as the evidence says\n"), false),
                None => (format!("BROKEN {path}: entry {last} is missing\n"), false),
            }
        }
    })
}

fn comparison_table(compared: &[FigureComparison]) -> String {
    let cell = |count: &Option<String>| count.as_ref().map_or("none".to_owned(), grouped);
    let rows = compared.iter().map(|compared| {
        let verdict = if compared.agrees() { "" } else { "DIFFERENT" };
        let (evidence, recounted) = (cell(&compared.evidence), cell(&compared.recounted));
        vec![compared.count.clone(), compared.of.clone(), evidence, recounted, verdict.to_owned()]
    });
    table(&["count", " of", "evidence", "recounted", " "], rows)
}
