//! The manifest: the files of a backup with size and SHA-256, signed with the key of the audit trail.

use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_audit::{sign_manifest, verify_manifest};
use sluice_keys::{PublicKey, Signer};
use sluice_model::Digest;

use crate::error::BackupError;

/// Name of the manifest in a backup.
pub(super) const MANIFEST: &str = "manifest.jsonl";

/// A manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BackupManifest {
    /// Format and its version.
    pub sluice: String,
    /// Version of the Sluice that took the backup.
    pub version: String,
    /// Version of the catalogue.
    pub catalogue: i64,
    /// Moment that the backup is of.
    pub at: Timestamp,
    /// Files, sorted by path.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BackupFile {
    /// Path in the backup and in the data directory.
    pub path: String,
    /// Size, in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Digest,
}

/// Returns true if a backup may hold a file with this path: no key, and nothing outside the data directory.
fn belongs(path: &str) -> bool {
    let is_normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let mut parts = Path::new(path).components();
    let first = parts.next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
    let is_top_level = parts.next().is_none();
    is_normal
        && match first.to_str() {
            Some("catalogue.db" | "platform.db") => is_top_level,
            Some("migrations" | "plugins") => !is_top_level,
            _ => false,
        }
}

impl BackupManifest {
    /// Returns a manifest of these files.
    pub fn new(at: Timestamp, catalogue: i64, mut files: Vec<BackupFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { sluice: "backup/1".into(), version: env!("CARGO_PKG_VERSION").into(), catalogue, at, files }
    }

    /// Returns the two lines of the file: the manifest and its signature.
    pub fn seal(&self, signer: &Signer) -> String {
        sign_manifest(signer, &serde_json::to_string(self).expect("a manifest is JSON"))
    }

    /// Reads the manifest of a backup and verifies its signature, with the pinned key if there is one. Returns the
    /// manifest and the key that signed it.
    pub fn read(backup: &Path, pinned: Option<&PublicKey>) -> Result<(Self, PublicKey), BackupError> {
        let file = backup.join(MANIFEST);
        let bytes =
            std::fs::read(&file).map_err(|source| BackupError::NoManifest { backup: backup.to_owned(), source })?;
        // A later version may be signed in another form. So its version is read before the signature.
        if let Some(version) = later_version(&bytes) {
            return Err(BackupError::NewerManifest { file, version });
        }
        let opened = verify_manifest(&bytes, pinned).map_err(BackupError::ManifestSignature)?;
        let manifest: Self = serde_json::from_str(opened.document).map_err(BackupError::ManifestSyntax)?;
        if let Some(foreign) = manifest.files.iter().find(|file| !belongs(&file.path)) {
            return Err(BackupError::ForeignFile { path: foreign.path.clone() });
        }
        Ok((manifest, opened.key))
    }

    /// Returns the total size of the files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Returns the version of a manifest if it is later than 1.
fn later_version(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(br#"{"sluice":"backup/"#)?;
    let end = digits.iter().position(|byte| *byte == b'"')?;
    str::from_utf8(&digits[..end]).ok()?.parse().ok().filter(|version| *version > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest may name files of a data directory, no keys, and nothing outside.
    #[test]
    fn paths_of_a_data_directory() {
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

    /// A manifest is read as it was signed. A change, another key and a later version are refused.
    #[test]
    fn a_manifest_is_read_as_it_was_signed() {
        let dir = tempfile::tempdir().unwrap();
        let (signer, stranger) = (Signer::new(&[1; 32]), Signer::new(&[2; 32]));
        let entry = BackupFile { path: "catalogue.db".into(), bytes: 3, sha256: Digest::of(b"abc") };
        let manifest = BackupManifest::new(Timestamp::UNIX_EPOCH, 1, vec![entry.clone()]);
        let text = manifest.seal(&signer);
        let read = |text: &str, key: &Signer| {
            std::fs::write(dir.path().join(MANIFEST), text).unwrap();
            BackupManifest::read(dir.path(), Some(&key.public()))
        };
        assert_eq!(read(&text, &signer).unwrap().0.files, [entry]);
        let outside = BackupFile { path: "../x".into(), ..manifest.files[0].clone() };
        let outside = BackupManifest { files: vec![outside], ..manifest.clone() }.seal(&signer);
        for (text, key, expected) in [
            (text.as_str(), &stranger, "not the pinned one"),
            (&text.replace("\"bytes\":3", "\"bytes\":4"), &signer, "has a wrong signature"),
            (&text.replace("backup/1", "backup/2"), &signer, "is of version 2"),
            (&text[..text.len() / 2], &signer, "was changed"),
            (&outside, &signer, "no file of a data directory"),
        ] {
            let refused = read(text, key).unwrap_err().to_string();
            assert!(refused.contains(expected), "{expected}: {refused}");
        }
    }
}
