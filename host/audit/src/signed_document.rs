//! Signed documents: evidence and manifests of backups. A signed document has two lines: the document, and the
//! signature over its exact bytes.

use super::key_from_hex;
use super::verify::VerificationFault;
use sluice_keys::{PublicKey, Signer};
use sluice_model::{from_hex, to_hex};

/// Returns the beginning of a document. It states the kind of the document, because the key signs heads of trails too.
fn beginning(kind: &str) -> String {
    format!(r#"{{"sluice":"{kind}/1","#)
}

fn signature_line(kind: &str, key: &PublicKey, signature: &str) -> String {
    format!(r#"{{"sluice":"{kind}-signature/1","key":"{}","signature":"{signature}"}}"#, to_hex(&key.0))
}

const EVIDENCE: &str = "evidence";
const MANIFEST: &str = "backup";

/// Signs evidence, which is one line of JSON. Returns both lines.
pub fn sign_evidence(signer: &Signer, document: &str) -> String {
    sign(EVIDENCE, signer, document)
}

/// Signs the manifest of a backup, which is one line of JSON. Returns both lines.
pub fn sign_manifest(signer: &Signer, manifest: &str) -> String {
    sign(MANIFEST, signer, manifest)
}

fn sign(kind: &str, signer: &Signer, document: &str) -> String {
    assert!(document.starts_with(&beginning(kind)) && !document.contains('\n'));
    let signature = to_hex(&signer.sign(document.as_bytes()));
    format!("{document}\n{}\n", signature_line(kind, &signer.public(), &signature))
}

/// A document whose signature is verified.
#[derive(Clone, Copy, Debug)]
pub struct SignedDocument<'a> {
    /// The evidence or the manifest.
    pub document: &'a str,
    /// Key that signed the document.
    pub key: PublicKey,
}

/// Verifies the signature of evidence. Its key must equal `pinned` if that is given.
///
/// # Errors
///
/// Returns the fault of the document or of its signature.
pub fn verify_evidence<'a>(
    file: &'a [u8],
    pinned: Option<&PublicKey>,
) -> Result<SignedDocument<'a>, VerificationFault> {
    verify(EVIDENCE, file, pinned)
}

/// Verifies the signature of a backup's manifest. Its key must equal `pinned` if that is given.
///
/// # Errors
///
/// Returns the fault of the document or of its signature.
pub fn verify_manifest<'a>(
    file: &'a [u8],
    pinned: Option<&PublicKey>,
) -> Result<SignedDocument<'a>, VerificationFault> {
    verify(MANIFEST, file, pinned)
}

fn verify<'a>(kind: &str, file: &'a [u8], pinned: Option<&PublicKey>) -> Result<SignedDocument<'a>, VerificationFault> {
    #[derive(serde::Deserialize)]
    struct SignatureLine<'a> {
        key: &'a str,
        signature: &'a str,
    }
    let text = str::from_utf8(file).map_err(|_| VerificationFault::Changed)?;
    let (document, rest) = text.split_once('\n').ok_or(VerificationFault::Missing)?;
    let SignatureLine { key, signature } = serde_json::from_str(rest).map_err(|_| VerificationFault::Changed)?;
    let key = key_from_hex(key).ok_or(VerificationFault::Changed)?;
    let bytes: [u8; 64] = from_hex(signature).ok_or(VerificationFault::Changed)?;
    if signature_line(kind, &key, signature) + "\n" != rest || !document.starts_with(&beginning(kind)) {
        return Err(VerificationFault::Changed);
    }
    if pinned.is_some_and(|pinned| *pinned != key) {
        return Err(VerificationFault::UnknownKey);
    }
    if !key.verifies(document.as_bytes(), &bytes) {
        return Err(VerificationFault::WrongSignature);
    }
    Ok(SignedDocument { document, key })
}
