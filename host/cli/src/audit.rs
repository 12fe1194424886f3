//! `sluice audit verify`: whether an export of the audit trail is whole, without a server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use sluice_audit::{Broken, Place, Verified, extends, fingerprint, key_from_hex, verify};
use sluice_keys::PublicKey;

use crate::view::{counted, print};

/// What `sluice audit` is told.
#[derive(Args)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Verify an export of an audit trail; nothing but the file is needed
    #[command(
        after_help = "Example: sluice audit verify audit.jsonl --key audit.key\n\nExit codes: 0 every entry is as it was \
                      signed, 1 it is not, and the first broken entry is named."
    )]
    Verify {
        /// The export: what GET …/audit answers with Accept: application/jsonl
        file: PathBuf,
        /// The server's public key, as digits or as a file: what GET /audit/key answers
        #[arg(long, value_name = "KEY-OR-FILE")]
        key: Option<String>,
        /// An earlier export of the same trail, which this one must go on from
        #[arg(long, value_name = "FILE")]
        extends: Option<PathBuf>,
    },
}

/// Runs it; the exit code.
pub fn run(args: Audit) -> Result<u8> {
    let (text, code) = report(args.verb)?;
    print(&text)?;
    Ok(code)
}

fn report(verb: Verb) -> Result<(String, u8)> {
    let Verb::Verify { file, key, extends: earlier } = verb;
    let pinned = key.as_deref().map(pinned).transpose()?;
    Ok(match verify_file(&file, pinned.as_ref())? {
        Err(broken) => (not_sound(&file, broken), 1),
        Ok(verified) => match earlier {
            None => (sound(&verified, pinned.is_some()), 0),
            Some(earlier_file) => match verify_file(&earlier_file, pinned.as_ref())? {
                Err(broken) => (not_sound(&earlier_file, broken), 1),
                Ok(earlier) => match extends(&verified, &earlier) {
                    Err(broken) => (not_sound(&file, broken), 1),
                    Ok(()) => {
                        let entries = counted(earlier.hashes.len() as u64, "entry");
                        let more = format!("it goes on from the earlier export of {entries}\n");
                        (sound(&verified, pinned.is_some()) + &more, 0)
                    }
                },
            },
        },
    })
}

/// Verifies an export in a file.
pub fn verify_file(file: &Path, pinned: Option<&PublicKey>) -> Result<Result<Verified, Broken>> {
    let export = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(verify(&export, pinned))
}

/// The key given as hexadecimal digits, or as a file with them, alone or as the server answers.
pub fn pinned(given: &str) -> Result<PublicKey> {
    if let Some(key) = key_from_hex(&given.to_lowercase()) {
        return Ok(key);
    }
    let text = std::fs::read_to_string(given)
        .with_context(|| format!("`{given}` is neither a key of 64 hexadecimal digits nor a file that can be read"))?;
    let answer: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let digits = answer.as_ref().and_then(|answer| answer["key"].as_str()).unwrap_or(text.trim());
    match key_from_hex(&digits.to_lowercase()) {
        Some(key) => Ok(key),
        None => bail!("{given} holds no key: 64 hexadecimal digits, or what GET /audit/key answers"),
    }
}

/// Whose key it is, in words.
pub fn key_line(key: &PublicKey, pinned: bool) -> String {
    let known = if pinned { "pinned" } else { "NOT pinned: anybody may have signed this; give --key" };
    format!("key    {} ({known})\n", fingerprint(key))
}

fn sound(verified: &Verified, pinned: bool) -> String {
    let entries = counted(verified.hashes.len() as u64, "entry");
    let range = match verified.range {
        Some((first, last)) => format!("from   {first}\nto     {last}\n"),
        None => String::new(),
    };
    format!("trail  {}\nsound  {entries}\n{range}{}", verified.scope, key_line(&verified.key, pinned))
}

fn not_sound(file: &Path, broken: Broken) -> String {
    let first = match broken.place {
        Place::Entry(number) => format!("first broken entry: {number}\n"),
        Place::Header | Place::Head => String::new(),
    };
    format!("BROKEN {}: {broken}\n{first}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_audit::{Action, Entry, Head, Link, Scope, header};
    use sluice_keys::Signer;
    use sluice_model::Actor;
    use sluice_model::{Digest, to_hex};

    /// What is given beside the file, what is said, and the exit code.
    #[test]
    fn says_what_it_found() {
        let held = tempfile::tempdir().unwrap();
        let signer = Signer::new(&[1; 32]);
        let mut lines = vec![header(Scope::Server, &signer.public())];
        let mut heads = vec![];
        let mut last = Digest::default();
        for number in 1..=3 {
            let (link, line) = Link::forge(Scope::Server, number, last, &Entry::new(Actor::Server, Action::Request));
            (last, heads) = (link.hash, [heads, vec![Head::of(&link).sign(&signer)]].concat());
            lines.push(line);
        }
        let put = |name: &str, text: &str| {
            let path = held.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let export = |entries: usize| [&lines[..=entries], &heads[entries - 1..entries]].concat().join("\n") + "\n";
        let [early, late] = [2, 3].map(|entries| put(&entries.to_string(), &export(entries)));
        let broken = put("broken", &export(3).replacen("REQUEST", "REQUESTS", 1));
        let digits = to_hex(&signer.public().0);
        let key_file = put("key", &format!("{{\"key\":\"{digits}\"}}"));
        let key_file = key_file.to_str().unwrap();
        let other = "0".repeat(64);
        type Case<'a> = (&'a PathBuf, Option<&'a str>, Option<&'a PathBuf>, &'a str, u8);
        let cases: &[Case] = &[
            (&late, None, None, "NOT pinned", 0),
            (&late, Some(&digits), None, "(pinned)", 0),
            (&late, Some(key_file), None, "sound  3 entries", 0),
            (&late, None, Some(&early), "goes on from the earlier export of 2 entries", 0),
            (&early, None, Some(&late), "entry 3 is not what the earlier export has", 1),
            (&broken, None, None, "first broken entry: 1", 1),
            (&late, None, Some(&broken), "first broken entry: 1", 1),
            (&late, Some(&other), None, "not the pinned one", 1),
        ];
        for (file, key, earlier, said, code) in cases {
            let (key, extends) = (key.map(str::to_owned), earlier.cloned());
            let (text, found) = report(Verb::Verify { file: file.to_path_buf(), key, extends }).unwrap();
            assert!(text.contains(said) && found == *code, "{said}: {found} {text}");
        }
        let no_key = Verb::Verify { file: late, key: Some("nowhere".into()), extends: None };
        assert!(report(no_key).is_err());
    }
}
