//! `sluice evidence verify`: whether evidence is as it was signed, and agrees with the target and the audit trail.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use sluice_audit::{Scope, open_evidence};
use sluice_keys::PublicKey;
use sluice_model::JobState;
use sluice_pipeline::{Bundle, Compared, recount};

use crate::audit::{key_line, pinned, verify_file};
use crate::migration::report_text::table;
use crate::view::{counted, grouped, print};

/// What `sluice evidence` is told.
#[derive(Args)]
pub struct Evidence {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Verify a migration's evidence; nothing but the file is needed
    #[command(
        after_help = "Example: sluice evidence verify evidence.jsonl --key audit.key --target platform.db --audit \
                      audit.jsonl\n\nExit codes: 0 it is as it was signed and agrees with what it was compared with, 1 it \
                      does not."
    )]
    Verify {
        /// The evidence: what GET …/evidence answers
        file: PathBuf,
        /// The server's public key, as digits or as a file: what GET /audit/key answers
        #[arg(long, value_name = "KEY-OR-FILE")]
        key: Option<String>,
        /// The platform database, or a copy: what the migration brought is counted there again
        #[arg(long, value_name = "FILE")]
        target: Option<PathBuf>,
        /// An export of the migration's audit trail, which must hold what the evidence says of it
        #[arg(long, value_name = "FILE")]
        audit: Option<PathBuf>,
    },
}

/// Runs it; the exit code.
pub fn run(args: Evidence) -> Result<u8> {
    let Verb::Verify { file, key, target, audit } = args.verb;
    let pinned = key.as_deref().map(pinned).transpose()?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let opened = match open_evidence(&bytes, pinned.as_ref()) {
        Ok(opened) => opened,
        Err(why) => {
            print(&format!("BROKEN {}: the evidence {why}\n", file.display()))?;
            return Ok(1);
        }
    };
    let bundle = Bundle::read(opened.bundle)
        .with_context(|| format!("{} is signed, but is no evidence of this version", file.display()))?;
    let mut text = summary(&bundle) + &key_line(&opened.key, pinned.is_some());
    let mut good = bundle.audit.is_signed_by(bundle.migration, &opened.key);
    if !good {
        text += "BROKEN the audit trail's head in the evidence has a wrong signature\n";
    }
    if let Some(export) = audit {
        let (line, agrees) = with_trail(&bundle, &export, &opened.key)?;
        text += &line;
        good &= agrees;
    }
    if let Some(target) = target {
        let compared = recount(&bundle, &target).with_context(|| format!("cannot count in {}", target.display()))?;
        let differing = compared.iter().filter(|compared| !compared.agrees()).count();
        text += &format!("\n{}", figures(&compared));
        text += &match differing {
            0 => "The target holds what the evidence says.\n".to_owned(),
            1 => "DIFFERENT: 1 figure of the target is not what the evidence says.\n".to_owned(),
            differing => format!("DIFFERENT: {differing} figures of the target are not what the evidence says.\n"),
        };
        good &= differing == 0;
    }
    print(&text)?;
    Ok(u8::from(!good))
}

fn summary(bundle: &Bundle) -> String {
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

/// Whether an export of the trail is sound and holds the entry that the evidence names as the last.
fn with_trail(bundle: &Bundle, export: &Path, key: &PublicKey) -> Result<(String, bool)> {
    let shown = export.display();
    Ok(match verify_file(export, Some(key))? {
        Err(broken) => (format!("BROKEN {shown}: {broken}\n"), false),
        Ok(verified) if verified.scope != Scope::Migration(bundle.migration) => {
            (format!("BROKEN {shown}: it is the trail of {}\n", verified.scope), false)
        }
        Ok(verified) => {
            let last = bundle.audit.last;
            let there = last.checked_sub(1).and_then(|at| verified.hashes.get(usize::try_from(at).ok()?));
            match there {
                _ if last == 0 => ("trail  sound; there was none when the evidence was made\n".to_owned(), true),
                Some(hash) if *hash == bundle.audit.hash => {
                    (format!("trail  sound, and entry {last} is what the evidence says\n"), true)
                }
                Some(_) => (format!("BROKEN {shown}: entry {last} is not what the evidence says\n"), false),
                None => (format!("BROKEN {shown}: entry {last} is missing\n"), false),
            }
        }
    })
}

fn figures(compared: &[Compared]) -> String {
    let cell = |figure: &Option<String>| figure.as_ref().map_or("none".to_owned(), grouped);
    let rows = compared.iter().map(|compared| {
        let verdict = if compared.agrees() { "" } else { "DIFFERENT" };
        let figures = [cell(&compared.evidence), cell(&compared.recounted)];
        let [evidence, recounted] = figures;
        vec![compared.count.clone(), compared.of.clone(), evidence, recounted, verdict.to_owned()]
    });
    table(&["count", " of", "evidence", "recounted", " "], rows)
}
