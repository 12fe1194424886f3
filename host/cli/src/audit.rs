//! `sluice audit verify`: verification of an exported audit trail, without a server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use sluice_audit::{ExportLocation, VerificationError, VerifiedExport, extends, fingerprint, key_from_hex, verify};
use sluice_keys::PublicKey;

use crate::format::counted;
use crate::output::print;

/// Arguments of `sluice audit`.
#[derive(Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Verify an export of an audit trail; the file alone is enough
    #[command(
        after_help = "Example: sluice audit verify audit.jsonl --key audit.key\n\nExit codes: 0 every entry is as it was \
                      signed, 1 an entry is not, and the command names the first one."
    )]
    Verify {
        /// The export: the response to GET …/audit with Accept: application/jsonl
        file: PathBuf,
        /// The server's public key as hexadecimal digits, or a file with the response to GET /audit/key
        #[arg(long, value_name = "KEY-OR-FILE")]
        key: Option<String>,
        /// An earlier export of the same trail, which this one must continue
        #[arg(long, value_name = "FILE")]
        extends: Option<PathBuf>,
    },
}

/// Runs a verb of `sluice audit` and returns its exit code.
pub fn run(args: AuditArgs) -> Result<u8> {
    let (text, code) = report(args.command)?;
    print(&text)?;
    Ok(code)
}

/// Verifies an export and returns a report with the exit code.
fn report(command: AuditCommand) -> Result<(String, u8)> {
    let AuditCommand::Verify { file, key, extends: earlier } = command;
    let pinned = key.as_deref().map(parse_key).transpose()?;
    Ok(match verify_file(&file, pinned.as_ref())? {
        Err(broken) => (broken_report(&file, broken), 1),
        Ok(verified) => match earlier {
            None => (sound_report(&verified, pinned.is_some()), 0),
            Some(earlier_file) => match verify_file(&earlier_file, pinned.as_ref())? {
                Err(broken) => (broken_report(&earlier_file, broken), 1),
                Ok(earlier) => match extends(&verified, &earlier) {
                    Err(broken) => (broken_report(&file, broken), 1),
                    Ok(()) => {
                        let entries = counted(earlier.hashes.len() as u64, "entry");
                        let more = format!("it continues the earlier export of {entries}\n");
                        (sound_report(&verified, pinned.is_some()) + &more, 0)
                    }
                },
            },
        },
    })
}

/// Verifies an export in a file, with the pinned key if there is one. The outer error is a file that cannot be read.
pub fn verify_file(file: &Path, pinned: Option<&PublicKey>) -> Result<Result<VerifiedExport, VerificationError>> {
    let export = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(verify(&export, pinned))
}

/// Reads a public key from hexadecimal digits, or from a file that holds the digits or the server's response.
pub fn parse_key(given: &str) -> Result<PublicKey> {
    if let Some(key) = key_from_hex(&given.to_lowercase()) {
        return Ok(key);
    }
    let text = std::fs::read_to_string(given)
        .with_context(|| format!("`{given}` is neither a key of 64 hexadecimal digits nor a file that can be read"))?;
    let answer: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let digits = answer.as_ref().and_then(|answer| answer["key"].as_str()).unwrap_or(text.trim());
    match key_from_hex(&digits.to_lowercase()) {
        Some(key) => Ok(key),
        None => bail!("{given} holds no key: a key is 64 hexadecimal digits, or the response to GET /audit/key"),
    }
}

/// Returns a line with the key's fingerprint. It says whether the caller pinned the key.
pub fn key_line(key: &PublicKey, pinned: bool) -> String {
    let known = if pinned { "pinned" } else { "NOT pinned: this may be anyone's signature; pass --key" };
    format!("key    {} ({known})\n", fingerprint(key))
}

fn sound_report(verified: &VerifiedExport, pinned: bool) -> String {
    let entries = counted(verified.hashes.len() as u64, "entry");
    let range = match verified.range {
        Some((first, last)) => format!("from   {first}\nto     {last}\n"),
        None => String::new(),
    };
    format!("trail  {}\nsound  {entries}\n{range}{}", verified.scope, key_line(&verified.key, pinned))
}

fn broken_report(file: &Path, broken: VerificationError) -> String {
    let first = match broken.location {
        ExportLocation::Entry(number) => format!("first broken entry: {number}\n"),
        ExportLocation::Header | ExportLocation::Head => String::new(),
    };
    format!("BROKEN {}: {broken}\n{first}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_audit::{Action, AuditEntry, AuditScope, Head, Link, header};
    use sluice_keys::Signer;
    use sluice_model::Actor;
    use sluice_model::{Digest, to_hex};

    /// Each case has a file, a key, an earlier export, a part of the report, and the exit code.
    #[test]
    fn reports_name_the_finding() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new(&[1; 32]);
        let mut lines = vec![header(AuditScope::Server, &signer.public())];
        let mut heads = vec![];
        let mut last = Digest::default();
        for number in 1..=3 {
            let (link, line) =
                Link::append(AuditScope::Server, number, last, &AuditEntry::new(Actor::Server, Action::Request));
            (last, heads) = (link.hash, [heads, vec![Head::of(&link).sign(&signer)]].concat());
            lines.push(line);
        }
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let export = |entries: usize| [&lines[..=entries], &heads[entries - 1..entries]].concat().join("\n") + "\n";
        let [early, late] = [2, 3].map(|entries| write(&entries.to_string(), &export(entries)));
        let broken = write("broken", &export(3).replacen("REQUEST", "REQUESTS", 1));
        let digits = to_hex(&signer.public().0);
        let key_file = write("key", &format!("{{\"key\":\"{digits}\"}}"));
        let key_file = key_file.to_str().unwrap();
        let other = "0".repeat(64);
        type Case<'a> = (&'a PathBuf, Option<&'a str>, Option<&'a PathBuf>, &'a str, u8);
        let cases: &[Case] = &[
            (&late, None, None, "NOT pinned", 0),
            (&late, Some(&digits), None, "(pinned)", 0),
            (&late, Some(key_file), None, "sound  3 entries", 0),
            (&late, None, Some(&early), "continues the earlier export of 2 entries", 0),
            (&early, None, Some(&late), "entry 3 differs from the earlier export", 1),
            (&broken, None, None, "first broken entry: 1", 1),
            (&late, None, Some(&broken), "first broken entry: 1", 1),
            (&late, Some(&other), None, "not the pinned one", 1),
        ];
        for (file, key, earlier, expected, code) in cases {
            let (key, extends) = (key.map(str::to_owned), earlier.cloned());
            let (text, found) = report(AuditCommand::Verify { file: file.to_path_buf(), key, extends }).unwrap();
            assert!(text.contains(expected) && found == *code, "{expected}: {found} {text}");
        }
        let no_key = AuditCommand::Verify { file: late, key: Some("nowhere".into()), extends: None };
        assert!(report(no_key).is_err());
    }
}
