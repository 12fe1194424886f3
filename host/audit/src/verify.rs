//! Verification of an export: it is complete and as signed, or the first faulty entry is named.

use std::fmt;

use jiff::Timestamp;

use super::chain::{AuditScope, Head, Link, header};
use sluice_keys::PublicKey;
use sluice_model::Digest;

/// A location in an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportLocation {
    /// The first line.
    Header,
    /// The entry with this number.
    Entry(u64),
    /// The signed head, the last line.
    Head,
}

/// A fault that verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationFault {
    /// The line differs from the chained or signed one.
    Changed,
    /// The line is missing.
    Missing,
    /// The line stands at another position.
    OutOfOrder,
    /// The line occurs twice.
    Repeated,
    /// The line belongs to another trail.
    Foreign,
    /// The line was added after the head was signed.
    Added,
    /// The signature is not the key's signature.
    WrongSignature,
    /// The key is not the pinned one.
    UnknownKey,
    /// The earlier export has another line here, or has a line that is missing here.
    RolledBack,
}

/// The first fault of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location} {fault}")]
pub struct VerificationError {
    /// Location of the fault.
    pub location: ExportLocation,
    /// VerificationFault.
    pub fault: VerificationFault,
}

impl fmt::Display for ExportLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportLocation::Header => f.write_str("the header"),
            ExportLocation::Entry(number) => write!(f, "entry {number}"),
            ExportLocation::Head => f.write_str("the signed head"),
        }
    }
}

impl fmt::Display for VerificationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VerificationFault::Changed => "was changed",
            VerificationFault::Missing => "is missing",
            VerificationFault::OutOfOrder => "is out of order",
            VerificationFault::Repeated => "occurs twice",
            VerificationFault::Foreign => "belongs to another trail",
            VerificationFault::Added => "was added after the head was signed",
            VerificationFault::WrongSignature => "has a wrong signature",
            VerificationFault::UnknownKey => "is signed with a key that is not the pinned one",
            VerificationFault::RolledBack => "differs from the earlier export",
        })
    }
}

/// A verified export.
#[derive(Clone, Debug)]
pub struct VerifiedExport {
    /// Scope of the trail.
    pub scope: AuditScope,
    /// Hash of each entry.
    pub hashes: Vec<Digest>,
    /// Times of the first and of the last entry, if there are entries.
    pub range: Option<(Timestamp, Timestamp)>,
    /// Key that signed the head.
    pub key: PublicKey,
}

fn fail<T>(location: ExportLocation, fault: VerificationFault) -> Result<T, VerificationError> {
    Err(VerificationError { location, fault })
}

/// Verifies an export. The export's key must equal `pinned` if that is given.
///
/// # Errors
///
/// Returns the first fault and its location.
pub fn verify(export: &[u8], pinned: Option<&PublicKey>) -> Result<VerifiedExport, VerificationError> {
    let (complete, body) = match export.strip_suffix(b"\n") {
        Some(body) => (true, body),
        None => (false, export),
    };
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let (first, rest) = lines.split_first().expect("splitting gives one part at least");
    let (last, mut entries) = match rest.split_last() {
        // The last line is an entry, so the head is cut off.
        Some((last, entries)) if Link::read(last).is_none() => (Some(*last), entries),
        _ => (None, rest),
    };
    if entries.is_empty() && last.is_none() && !first.starts_with(br#"{"sluice":"audit/1""#) {
        return fail(ExportLocation::Header, VerificationFault::Changed);
    }
    let head = match last {
        Some(last) if complete => Head::read(last, pinned),
        Some(_) => Err(VerificationFault::Changed),
        None => Err(VerificationFault::Missing),
    };
    let signed = head.ok().map(|(head, _)| head);
    let mut links: Vec<Link> = Vec::with_capacity(entries.len());
    while let Some((line, later)) = entries.split_first() {
        let number = links.len() as u64 + 1;
        let Some(link) = Link::read(line) else {
            return fail(ExportLocation::Entry(number), VerificationFault::Changed);
        };
        if link.number < number {
            return fail(ExportLocation::Entry(link.number), VerificationFault::Repeated);
        }
        if link.number > number {
            let stands_later = later.iter().any(|line| Link::read(line).is_some_and(|link| link.number == number));
            return fail(
                ExportLocation::Entry(number),
                if stands_later { VerificationFault::OutOfOrder } else { VerificationFault::Missing },
            );
        }
        if signed.is_some_and(|signed| signed.scope != link.scope) {
            return fail(ExportLocation::Entry(number), VerificationFault::Foreign);
        }
        let previous = links.last().map_or(Digest::default(), |previous| previous.hash);
        if link.previous != previous {
            // Two valid lines do not follow each other. The line after them, or the head, shows which one is false.
            let next = match later.first() {
                Some(next) => Link::read(next).map(|next| next.previous),
                None => signed.map(|signed| signed.hash),
            };
            let vouched_for = next == Some(link.hash);
            return fail(
                ExportLocation::Entry(if vouched_for && number > 1 { number - 1 } else { number }),
                VerificationFault::Changed,
            );
        }
        links.push(link);
        entries = later;
    }
    let (signed, key) = head.map_err(|fault| VerificationError { location: ExportLocation::Head, fault })?;
    if header(signed.scope, &key).as_bytes() != *first {
        return fail(ExportLocation::Header, VerificationFault::Changed);
    }
    let count = links.len() as u64;
    if signed.entries > count {
        return fail(ExportLocation::Entry(count + 1), VerificationFault::Missing);
    }
    if signed.entries < count {
        return fail(ExportLocation::Entry(signed.entries + 1), VerificationFault::Added);
    }
    if links.last().map_or(Digest::default(), |last| last.hash) != signed.hash {
        return fail(ExportLocation::Entry(count), VerificationFault::Changed);
    }
    let range = links.first().zip(links.last()).map(|(first, last)| (first.at, last.at));
    Ok(VerifiedExport { scope: signed.scope, hashes: links.iter().map(|link| link.hash).collect(), range, key })
}

/// Checks that an export extends an earlier export of the same trail: it still has every entry of the earlier one.
///
/// # Errors
///
/// Returns the first difference.
pub fn extends(later: &VerifiedExport, earlier: &VerifiedExport) -> Result<(), VerificationError> {
    if later.scope != earlier.scope {
        return fail(ExportLocation::Header, VerificationFault::Foreign);
    }
    if later.key != earlier.key {
        return fail(ExportLocation::Head, VerificationFault::UnknownKey);
    }
    let differs = |at: &usize| later.hashes.get(*at) != earlier.hashes.get(*at);
    match (0..earlier.hashes.len()).find(differs) {
        Some(at) => fail(ExportLocation::Entry(at as u64 + 1), VerificationFault::RolledBack),
        None => Ok(()),
    }
}
