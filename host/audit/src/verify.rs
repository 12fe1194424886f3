//! Verification of an export: whether it is whole and as it was signed, and if not, which entry is the first broken.

use std::fmt;

use jiff::Timestamp;

use super::chain::{Head, Link, Scope, header};
use sluice_keys::PublicKey;
use sluice_model::Digest;

/// Where an export is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first line.
    Header,
    /// The entry with this number.
    Entry(u64),
    /// The signed head, the last line.
    Head,
}

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not what was chained or signed.
    Changed,
    /// It is not there.
    Missing,
    /// It stands elsewhere.
    OutOfOrder,
    /// It is there twice.
    Repeated,
    /// It belongs to another trail.
    Foreign,
    /// It was added after the head was signed.
    Added,
    /// The signature is not that of the key.
    WrongSignature,
    /// The key is not the pinned one.
    UnknownKey,
    /// It was different, or there, in the earlier export.
    RolledBack,
}

/// The first broken place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {why}")]
pub struct Broken {
    /// Where.
    pub place: Place,
    /// Why.
    pub why: Why,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header => f.write_str("the header"),
            Place::Entry(number) => write!(f, "entry {number}"),
            Place::Head => f.write_str("the signed head"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Changed => "was changed",
            Why::Missing => "is missing",
            Why::OutOfOrder => "is out of order",
            Why::Repeated => "is there twice",
            Why::Foreign => "belongs to another trail",
            Why::Added => "was added after the head was signed",
            Why::WrongSignature => "has a wrong signature",
            Why::UnknownKey => "is signed with a key that is not the pinned one",
            Why::RolledBack => "is not what the earlier export has",
        })
    }
}

/// An export that is whole.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it is about.
    pub scope: Scope,
    /// Hash of each entry.
    pub hashes: Vec<Digest>,
    /// When the first and the last were made, if there are any.
    pub range: Option<(Timestamp, Timestamp)>,
    /// The key that the head is signed with.
    pub key: PublicKey,
}

fn broken<T>(place: Place, why: Why) -> Result<T, Broken> {
    Err(Broken { place, why })
}

/// Verifies an export, with the key that is known to be the server's if one is.
pub fn verify(export: &[u8], pinned: Option<&PublicKey>) -> Result<Verified, Broken> {
    let (whole, body) = match export.strip_suffix(b"\n") {
        Some(body) => (true, body),
        None => (false, export),
    };
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let (first, rest) = lines.split_first().expect("splitting gives one part at least");
    let (last, mut entries) = match rest.split_last() {
        // A sound entry in the head's place: the head is cut off, and the entry counts as one.
        Some((last, entries)) if Link::read(last).is_none() => (Some(*last), entries),
        _ => (None, rest),
    };
    if entries.is_empty() && last.is_none() && !first.starts_with(br#"{"sluice":"audit/1""#) {
        return broken(Place::Header, Why::Changed);
    }
    let head = match last {
        Some(last) if whole => Head::read(last, pinned),
        Some(_) => Err(Why::Changed),
        None => Err(Why::Missing),
    };
    let signed = head.ok().map(|(head, _)| head);
    let mut links: Vec<Link> = Vec::with_capacity(entries.len());
    while let Some((line, later)) = entries.split_first() {
        let number = links.len() as u64 + 1;
        let Some(link) = Link::read(line) else { return broken(Place::Entry(number), Why::Changed) };
        if link.number < number {
            return broken(Place::Entry(link.number), Why::Repeated);
        }
        if link.number > number {
            let stands_later = later.iter().any(|line| Link::read(line).is_some_and(|link| link.number == number));
            return broken(Place::Entry(number), if stands_later { Why::OutOfOrder } else { Why::Missing });
        }
        if signed.is_some_and(|signed| signed.scope != link.scope) {
            return broken(Place::Entry(number), Why::Foreign);
        }
        let previous = links.last().map_or(Digest::default(), |previous| previous.hash);
        if link.previous != previous {
            // Two sound lines that do not follow each other: which one is false, the one after them knows.
            let next = match later.first() {
                Some(next) => Link::read(next).map(|next| next.previous),
                None => signed.map(|signed| signed.hash),
            };
            let vouched_for = next == Some(link.hash);
            return broken(Place::Entry(if vouched_for && number > 1 { number - 1 } else { number }), Why::Changed);
        }
        links.push(link);
        entries = later;
    }
    let (signed, key) = head.map_err(|why| Broken { place: Place::Head, why })?;
    if header(signed.scope, &key).as_bytes() != *first {
        return broken(Place::Header, Why::Changed);
    }
    let count = links.len() as u64;
    if signed.entries > count {
        return broken(Place::Entry(count + 1), Why::Missing);
    }
    if signed.entries < count {
        return broken(Place::Entry(signed.entries + 1), Why::Added);
    }
    if links.last().map_or(Digest::default(), |last| last.hash) != signed.hash {
        return broken(Place::Entry(count), Why::Changed);
    }
    let range = links.first().zip(links.last()).map(|(first, last)| (first.at, last.at));
    Ok(Verified { scope: signed.scope, hashes: links.iter().map(|link| link.hash).collect(), range, key })
}

/// Whether an export goes on from an earlier one of the same trail: whatever was there still is, and just so.
pub fn extends(later: &Verified, earlier: &Verified) -> Result<(), Broken> {
    if later.scope != earlier.scope {
        return broken(Place::Header, Why::Foreign);
    }
    if later.key != earlier.key {
        return broken(Place::Head, Why::UnknownKey);
    }
    let differs = |at: &usize| later.hashes.get(*at) != earlier.hashes.get(*at);
    match (0..earlier.hashes.len()).find(differs) {
        Some(at) => broken(Place::Entry(at as u64 + 1), Why::RolledBack),
        None => Ok(()),
    }
}
