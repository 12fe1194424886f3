//! Chains: entries as lines with the hash of the previous line, and the signed head of a chain.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::AuditEntry;
use super::key_from_hex;
use super::verify::VerificationFault;
use sluice_keys::{PublicKey, Signer};
use sluice_model::{Digest, from_hex, to_hex};

/// The scope of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditScope {
    /// The server.
    Server,
    /// A migration.
    Migration(Uuid),
}

impl fmt::Display for AuditScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditScope::Server => f.write_str("server"),
            AuditScope::Migration(id) => id.fmt(f),
        }
    }
}

impl AuditScope {
    /// Reads the displayed form.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "server" => Some(AuditScope::Server),
            id => id.parse().ok().map(AuditScope::Migration).filter(|scope| scope.to_string() == id),
        }
    }
}

/// An entry of a chain: its position and its hashes.
#[derive(Clone, Debug)]
pub struct Link {
    /// Scope of the chain.
    pub scope: AuditScope,
    /// Number of the entry, from 1.
    pub number: u64,
    /// Hash of the previous entry. Zeros for the first entry.
    pub previous: Digest,
    /// SHA-256 of the part of the line before `,"hash":`.
    pub hash: Digest,
    /// Time of the entry.
    pub at: Timestamp,
}

/// Text before the hash, which is the last member of a line.
const HASH: &str = r#","hash":""#;
/// Text after the last member.
const END: &str = r#""}"#;

impl Link {
    /// Appends an entry to a chain. Returns the link and its line, without a line end. `previous` is the hash of the
    /// last entry, and `number` is one more than its number.
    pub fn append(scope: AuditScope, number: u64, previous: Digest, entry: &AuditEntry) -> (Self, String) {
        #[derive(Serialize)]
        struct EntryLine<'a, T: Serialize> {
            scope: &'a str,
            number: u64,
            previous: Digest,
            #[serde(flatten)]
            entry: T,
        }
        let line = EntryLine { scope: &scope.to_string(), number, previous, entry: entry.fields() };
        let mut line = serde_json::to_string(&line).expect("an entry can be written as JSON");
        line.pop();
        let hash = Digest::of(line.as_bytes());
        line.push_str(&format!("{HASH}{hash}{END}"));
        (Self { scope, number, previous, hash, at: entry.at() }, line)
    }

    /// Reads a line. Returns `None` if it is not an entry or its hash is wrong.
    pub fn read(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct LinkLine<'a> {
            scope: &'a str,
            number: u64,
            previous: Digest,
            at: Timestamp,
        }
        let start = line.len().checked_sub(HASH.len() + 64 + END.len())?;
        let (body, rest) = line.split_at(start);
        let hash = rest.strip_prefix(HASH.as_bytes())?.strip_suffix(END.as_bytes())?;
        let hash = Digest::parse(str::from_utf8(hash).ok()?)?;
        if Digest::of(body) != hash {
            return None;
        }
        let LinkLine { scope, number, previous, at } = serde_json::from_slice(line).ok()?;
        Some(Self { scope: AuditScope::parse(scope)?, number, previous, hash, at })
    }
}

/// Returns the first line of an export.
pub fn header(scope: AuditScope, key: &PublicKey) -> String {
    format!(r#"{{"sluice":"audit/1","scope":"{scope}","key":"{}"}}"#, to_hex(&key.0))
}

/// The head of a chain: its state after an entry.
///
/// The server signs the head when it writes the entry, and stores it beside the entry. It does not sign when a client
/// requests an export, so a signature never covers later changes to the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Scope of the chain.
    pub scope: AuditScope,
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last entry.
    pub hash: Digest,
    /// Time of the last entry.
    pub at: Timestamp,
}

/// Text before the signature, which is the last member.
const SIGNATURE: &str = r#","signature":""#;

impl Head {
    /// Returns the head of a chain that ends with this link.
    pub fn of(link: &Link) -> Self {
        Self { scope: link.scope, entries: link.number, hash: link.hash, at: link.at }
    }

    /// Returns the signed text: the beginning of the head's line. It states its kind, because the key signs evidence
    /// too.
    fn signed_text(&self, key: &PublicKey) -> String {
        let Self { scope, entries, hash, at } = self;
        let key = to_hex(&key.0);
        format!(
            r#"{{"sluice":"audit-head/1","scope":"{scope}","entries":{entries},"hash":"{hash}","at":"{at}","key":"{key}""#
        )
    }

    /// Signs the head and returns its line.
    pub fn sign(&self, signer: &Signer) -> String {
        let key = signer.public();
        self.line(&key, &to_hex(&signer.sign(self.signed_text(&key).as_bytes())))
    }

    /// Returns the head's line with this signature.
    pub fn line(&self, key: &PublicKey, signature: &str) -> String {
        format!("{}{SIGNATURE}{signature}{END}", self.signed_text(key))
    }

    /// Reads a head's line and checks its signature with the key in the line. The key must equal `pinned` if that is
    /// given.
    ///
    /// # Errors
    ///
    /// Returns `Changed`, `UnknownKey` or `WrongSignature`.
    pub fn read(line: &[u8], pinned: Option<&PublicKey>) -> Result<(Self, PublicKey), VerificationFault> {
        #[derive(Deserialize)]
        struct HeadLine<'a> {
            scope: &'a str,
            entries: u64,
            hash: Digest,
            at: Timestamp,
            key: &'a str,
            signature: &'a str,
        }
        let HeadLine { scope, entries, hash, at, key, signature } =
            serde_json::from_slice(line).map_err(|_| VerificationFault::Changed)?;
        let head = Self { scope: AuditScope::parse(scope).ok_or(VerificationFault::Changed)?, entries, hash, at };
        let key = key_from_hex(key).ok_or(VerificationFault::Changed)?;
        let bytes: [u8; 64] = from_hex(signature).ok_or(VerificationFault::Changed)?;
        // JSON can express the same members in several ways. Only the one that the server writes is accepted.
        if head.line(&key, signature).as_bytes() != line {
            return Err(VerificationFault::Changed);
        }
        if pinned.is_some_and(|pinned| *pinned != key) {
            return Err(VerificationFault::UnknownKey);
        }
        if !key.verifies(head.signed_text(&key).as_bytes(), &bytes) {
            return Err(VerificationFault::WrongSignature);
        }
        Ok((head, key))
    }

    /// Returns the signature of a head's line, as hexadecimal digits.
    pub fn signature(line: &str) -> Option<&str> {
        line.rsplit_once(SIGNATURE)?.1.strip_suffix(END)
    }
}
