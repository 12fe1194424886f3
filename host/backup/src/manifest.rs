//! The manifest: which files a backup has, each with its size and SHA-256, signed with the key of the audit trail.

use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use sluice_audit::{open_manifest, seal_manifest};
use sluice_keys::{PublicKey, Signer};
use sluice_model::Digest;

/// Name of the manifest in a backup.
pub(super) const MANIFEST: &str = "manifest.jsonl";

/// What a backup is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// What this is, and in which version.
    pub sluice: String,
    /// The Sluice that took it.
    pub version: String,
    /// The version of its catalogue.
    pub catalogue: i64,
    /// The moment that it is of.
    pub at: Timestamp,
    /// Everything that is in it, by path.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub path: String,
    pub bytes: u64,
    pub sha256: Digest,
}

/// What may be in a backup: not a key, and nothing that is put elsewhere.
fn belongs(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let first = parts.next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
    let alone = parts.next().is_none();
    normal
        && match first.to_str() {
            Some("catalogue.db" | "platform.db") => alone,
            Some("migrations" | "plugins") => !alone,
            _ => false,
        }
}

impl Manifest {
    /// A manifest of these files.
    pub fn new(at: Timestamp, catalogue: i64, mut files: Vec<Entry>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { sluice: "backup/1".into(), version: env!("CARGO_PKG_VERSION").into(), catalogue, at, files }
    }

    /// Its two lines: itself, and its signature.
    pub fn seal(&self, signer: &Signer) -> String {
        seal_manifest(signer, &serde_json::to_string(self).expect("a manifest is JSON"))
    }

    /// Reads the manifest of a backup, signed with `pinned` if that is known; and the key it is signed with.
    pub fn read(backup: &Path, pinned: Option<&PublicKey>) -> Result<(Self, PublicKey)> {
        let file = backup.join(MANIFEST);
        let bytes = std::fs::read(&file).with_context(|| {
            format!("{} is not a backup, or not a whole one: it has no {MANIFEST}", backup.display())
        })?;
        // Of a later version nobody knows here how it is signed.
        if let Some(version) = later_version(&bytes) {
            bail!(
                "{} is of version {version}, and this Sluice reads version 1: take the Sluice that wrote it",
                file.display()
            );
        }
        let opened = open_manifest(&bytes, pinned).map_err(|why| anyhow::anyhow!("{MANIFEST} {why}"))?;
        let manifest: Self = serde_json::from_str(opened.bundle).with_context(|| format!("{MANIFEST} was changed"))?;
        if let Some(stranger) = manifest.files.iter().find(|file| !belongs(&file.path)) {
            bail!("{MANIFEST} names {}, which is no file of a data directory", stranger.path);
        }
        Ok((manifest, opened.key))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

fn later_version(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(br#"{"sluice":"backup/"#)?;
    let end = digits.iter().position(|byte| *byte == b'"')?;
    str::from_utf8(&digits[..end]).ok()?.parse().ok().filter(|version| *version > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths that a manifest may have, and may not.
    #[test]
    fn what_belongs() {
        for (path, expected) in [
            ("catalogue.db", true),
            ("platform.db", true),
            ("plugins/a.wasm", true),
            ("migrations/a/journal/00000000.seg", true),
            ("catalogue.db/x", false),
            ("migrations", false),
            ("master.key", false),
            ("keys/audit.key", false),
            ("lock", false),
            ("../catalogue.db", false),
            ("migrations/../master.key", false),
            ("migrations/./a", true),
            ("/etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(belongs(path), expected, "{path}");
        }
    }

    /// What is read is what was signed, by whom it was signed; anything else is refused, a later version by its number.
    #[test]
    fn read_as_it_was_signed() {
        let held = tempfile::tempdir().unwrap();
        let (signer, stranger) = (Signer::new(&[1; 32]), Signer::new(&[2; 32]));
        let entry = Entry { path: "catalogue.db".into(), bytes: 3, sha256: Digest::of(b"abc") };
        let manifest = Manifest::new(Timestamp::UNIX_EPOCH, 1, vec![entry.clone()]);
        let text = manifest.seal(&signer);
        let read = |text: &str, key: &Signer| {
            std::fs::write(held.path().join(MANIFEST), text).unwrap();
            Manifest::read(held.path(), Some(&key.public()))
        };
        assert_eq!(read(&text, &signer).unwrap().0.files, [entry]);
        let outside = Entry { path: "../x".into(), ..manifest.files[0].clone() };
        let outside = Manifest { files: vec![outside], ..manifest.clone() }.seal(&signer);
        for (text, key, said) in [
            (text.as_str(), &stranger, "not the pinned one"),
            (&text.replace("\"bytes\":3", "\"bytes\":4"), &signer, "has a wrong signature"),
            (&text.replace("backup/1", "backup/2"), &signer, "is of version 2"),
            (&text[..text.len() / 2], &signer, "was changed"),
            (&outside, &signer, "no file of a data directory"),
        ] {
            let refused = format!("{:#}", read(text, key).unwrap_err());
            assert!(refused.contains(said), "{said}: {refused}");
        }
    }
}
