//! Documents, signed: evidence and manifests of backups. Two lines, the document and the signature over its exact
//! bytes.

use super::key_from_hex;
use super::verify::Why;
use sluice_keys::{PublicKey, Signer};
use sluice_model::{from_hex, to_hex};

/// How a document begins: what is signed says what it is, as the key signs heads of trails too.
fn beginning(kind: &str) -> String {
    format!(r#"{{"sluice":"{kind}/1","#)
}

fn signature_line(kind: &str, key: &PublicKey, signature: &str) -> String {
    format!(r#"{{"sluice":"{kind}-signature/1","key":"{}","signature":"{signature}"}}"#, to_hex(&key.0))
}

const EVIDENCE: &str = "evidence";
const MANIFEST: &str = "backup";

/// Signs a bundle, which is one line of JSON; both lines.
pub fn seal_evidence(signer: &Signer, bundle: &str) -> String {
    seal(EVIDENCE, signer, bundle)
}

/// Signs the manifest of a backup, which is one line of JSON; both lines.
pub fn seal_manifest(signer: &Signer, manifest: &str) -> String {
    seal(MANIFEST, signer, manifest)
}

fn seal(kind: &str, signer: &Signer, bundle: &str) -> String {
    assert!(bundle.starts_with(&beginning(kind)) && !bundle.contains('\n'));
    let signature = to_hex(&signer.sign(bundle.as_bytes()));
    format!("{bundle}\n{}\n", signature_line(kind, &signer.public(), &signature))
}

/// A document whose signature is right.
#[derive(Clone, Copy, Debug)]
pub struct SealedDocument<'a> {
    /// The bundle, or the manifest.
    pub bundle: &'a str,
    /// The key that it is signed with.
    pub key: PublicKey,
}

/// Opens evidence, with the key that is known to be the server's if one is.
pub fn open_evidence<'a>(file: &'a [u8], pinned: Option<&PublicKey>) -> Result<SealedDocument<'a>, Why> {
    open(EVIDENCE, file, pinned)
}

/// Opens the manifest of a backup, with the key that is known to be the server's if one is.
pub fn open_manifest<'a>(file: &'a [u8], pinned: Option<&PublicKey>) -> Result<SealedDocument<'a>, Why> {
    open(MANIFEST, file, pinned)
}

fn open<'a>(kind: &str, file: &'a [u8], pinned: Option<&PublicKey>) -> Result<SealedDocument<'a>, Why> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        key: &'a str,
        signature: &'a str,
    }
    let text = str::from_utf8(file).map_err(|_| Why::Changed)?;
    let (bundle, rest) = text.split_once('\n').ok_or(Why::Missing)?;
    let Line { key, signature } = serde_json::from_str(rest).map_err(|_| Why::Changed)?;
    let key = key_from_hex(key).ok_or(Why::Changed)?;
    let bytes: [u8; 64] = from_hex(signature).ok_or(Why::Changed)?;
    if signature_line(kind, &key, signature) + "\n" != rest || !bundle.starts_with(&beginning(kind)) {
        return Err(Why::Changed);
    }
    if pinned.is_some_and(|pinned| *pinned != key) {
        return Err(Why::UnknownKey);
    }
    if !key.verifies(bundle.as_bytes(), &bytes) {
        return Err(Why::WrongSignature);
    }
    Ok(SealedDocument { bundle, key })
}
