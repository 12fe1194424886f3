//! Entries as lines, each with the hash of the one before, and the signed head of a chain.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::Entry;
use super::key_from_hex;
use super::verify::Why;
use sluice_keys::{PublicKey, Signer};
use sluice_model::{Digest, from_hex, to_hex};

/// What a chain is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The server as a whole.
    Server,
    /// One migration.
    Migration(Uuid),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Server => f.write_str("server"),
            Scope::Migration(id) => id.fmt(f),
        }
    }
}

impl Scope {
    /// Reads what is shown.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "server" => Some(Scope::Server),
            id => id.parse().ok().map(Scope::Migration).filter(|scope| scope.to_string() == id),
        }
    }
}

/// An entry at its place in a chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it belongs to.
    pub scope: Scope,
    /// Its number, from 1.
    pub number: u64,
    /// Hash of the entry before it; zeros before the first.
    pub previous: Digest,
    /// SHA-256 of everything in the line that stands before its `,"hash":`.
    pub hash: Digest,
    /// When.
    pub at: Timestamp,
}

/// What stands before the hash, which is the last member of a line.
const HASH: &str = r#","hash":""#;
const END: &str = r#""}"#;

impl Link {
    /// Gives an entry its place; the link and its line, without a line's end.
    pub fn forge(scope: Scope, number: u64, previous: Digest, entry: &Entry) -> (Self, String) {
        #[derive(Serialize)]
        struct Line<'a, T: Serialize> {
            scope: &'a str,
            number: u64,
            previous: Digest,
            #[serde(flatten)]
            entry: T,
        }
        let line = Line { scope: &scope.to_string(), number, previous, entry: entry.shown() };
        let mut line = serde_json::to_string(&line).expect("an entry can be written as JSON");
        line.pop();
        let hash = Digest::of(line.as_bytes());
        line.push_str(&format!("{HASH}{hash}{END}"));
        (Self { scope, number, previous, hash, at: entry.at() }, line)
    }

    /// Reads a line whose hash is right.
    pub fn read(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
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
        let Line { scope, number, previous, at } = serde_json::from_slice(line).ok()?;
        Some(Self { scope: Scope::parse(scope)?, number, previous, hash, at })
    }
}

/// The first line of an export.
pub fn header(scope: Scope, key: &PublicKey) -> String {
    format!(r#"{{"sluice":"audit/1","scope":"{scope}","key":"{}"}}"#, to_hex(&key.0))
}

/// What a chain came to at some entry.
///
/// It is signed with the entry and kept beside it, and not when an export is asked for: so what is signed is what
/// the server has written, and not what somebody may have made of the catalogue since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the chain is about.
    pub scope: Scope,
    /// How many entries it has.
    pub entries: u64,
    /// Hash of the last.
    pub hash: Digest,
    /// When the last was made.
    pub at: Timestamp,
}

/// What stands before the signature, which is the last member.
const SIGNATURE: &str = r#","signature":""#;

impl Head {
    /// The head of a chain that ends with this link.
    pub fn of(link: &Link) -> Self {
        Self { scope: link.scope, entries: link.number, hash: link.hash, at: link.at }
    }

    /// What is signed: the beginning of the head's line. It says what it is, as the key signs evidence too.
    fn signed_text(&self, key: &PublicKey) -> String {
        let Self { scope, entries, hash, at } = self;
        let key = to_hex(&key.0);
        format!(
            r#"{{"sluice":"audit-head/1","scope":"{scope}","entries":{entries},"hash":"{hash}","at":"{at}","key":"{key}""#
        )
    }

    /// The head's line, signed.
    pub fn sign(&self, signer: &Signer) -> String {
        let key = signer.public();
        self.line(&key, &to_hex(&signer.sign(self.signed_text(&key).as_bytes())))
    }

    /// The head's line with a signature that is known.
    pub fn line(&self, key: &PublicKey, signature: &str) -> String {
        format!("{}{SIGNATURE}{signature}{END}", self.signed_text(key))
    }

    /// Reads a head's line whose signature is that of its key, which must be `pinned` if one is.
    pub fn read(line: &[u8], pinned: Option<&PublicKey>) -> Result<(Self, PublicKey), Why> {
        #[derive(Deserialize)]
        struct Line<'a> {
            scope: &'a str,
            entries: u64,
            hash: Digest,
            at: Timestamp,
            key: &'a str,
            signature: &'a str,
        }
        let Line { scope, entries, hash, at, key, signature } =
            serde_json::from_slice(line).map_err(|_| Why::Changed)?;
        let head = Self { scope: Scope::parse(scope).ok_or(Why::Changed)?, entries, hash, at };
        let key = key_from_hex(key).ok_or(Why::Changed)?;
        let bytes: [u8; 64] = from_hex(signature).ok_or(Why::Changed)?;
        // What can be read in two ways is written in one only.
        if head.line(&key, signature).as_bytes() != line {
            return Err(Why::Changed);
        }
        if pinned.is_some_and(|pinned| *pinned != key) {
            return Err(Why::UnknownKey);
        }
        if !key.verifies(head.signed_text(&key).as_bytes(), &bytes) {
            return Err(Why::WrongSignature);
        }
        Ok((head, key))
    }

    /// The signature in a head's line, as it stands there.
    pub fn signature(line: &str) -> Option<&str> {
        line.rsplit_once(SIGNATURE)?.1.strip_suffix(END)
    }
}
