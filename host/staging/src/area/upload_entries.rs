//! The entries that one upload has passed, so that a second record under one key is recognised.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::area::transaction::EntryMetadata;
use crate::streams::bitmap::Bitmap;
use crate::{Key, Origin};

/// Maximum number of runs of equal distance between line and stored line. An upload in the order of an earlier one has
/// few of them. Beyond the limit the line of an unchanged record is not remembered.
const MAX_RUNS: usize = 65_536;

/// The entries of one upload: those that it added, and those that it contained unchanged.
///
/// An entry that it added carries its number. For an entry of an earlier upload one bit is kept, so that ten million
/// unchanged records take little more than a megabyte.
pub struct UploadEntries {
    /// Number of the upload.
    number: u32,
    /// True if a second record under one key is refused.
    strict: bool,
    /// Unchanged entries of each stream.
    unchanged: HashMap<u16, UnchangedEntries>,
    /// Number of equal records without a key, by the key of the first one. Only repeated records are in it.
    repeats: HashMap<(u16, Key), u64>,
    /// Numbers of the uploads whose records it contained unchanged.
    confirmed: BTreeSet<u32>,
}

/// Entries of an earlier upload that this upload contains unchanged.
#[derive(Default)]
struct UnchangedEntries {
    ordinals: Bitmap,
    runs: Vec<LineRun>,
}

/// Consecutive ordinals whose lines have the same distance to the stored lines.
struct LineRun {
    first: u64,
    last: u64,
    distance: i64,
}

impl UploadEntries {
    /// Returns the entries of an upload that begins. A second record under one key is refused.
    pub fn new(number: u32) -> Self {
        Self { number, strict: true, unchanged: HashMap::new(), repeats: HashMap::new(), confirmed: BTreeSet::new() }
    }

    /// Returns the entries of work that is no upload, such as generation. A second record under one key replaces the
    /// first one.
    pub fn replacing(number: u32) -> Self {
        Self { strict: false, ..Self::new(number) }
    }

    /// Returns the number of the upload.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the numbers of the uploads whose records this upload contained unchanged.
    pub fn confirmed(&self) -> impl Iterator<Item = u32> + '_ {
        self.confirmed.iter().copied()
    }

    /// Returns true if the upload has passed this entry before.
    pub(crate) fn has_passed(&self, stream: u16, ordinal: u64, meta: &EntryMetadata) -> bool {
        self.strict
            && (meta.upload == self.number
                || self.unchanged.get(&stream).is_some_and(|unchanged| unchanged.ordinals.get(ordinal)))
    }

    /// Returns the line on which this upload has an entry that it has passed, if it is known.
    pub(crate) fn line_of(&self, stream: u16, ordinal: u64, meta: &EntryMetadata) -> Option<u64> {
        let Origin::Line(line) = meta.origin else { return None };
        if meta.upload == self.number {
            return Some(line);
        }
        let runs = &self.unchanged.get(&stream)?.runs;
        let run = runs.iter().rev().find(|run| (run.first..=run.last).contains(&ordinal))?;
        line.checked_add_signed(run.distance)
    }

    /// Notes that the upload contains an entry of an earlier upload unchanged, on this line.
    pub(crate) fn pass_unchanged(&mut self, stream: u16, ordinal: u64, meta: &EntryMetadata, line: u64) {
        if !self.strict {
            return;
        }
        if !self.confirmed.contains(&meta.upload) {
            self.confirmed.insert(meta.upload);
        }
        let unchanged = self.unchanged.entry(stream).or_default();
        unchanged.ordinals.set(ordinal);
        let Origin::Line(stored) = meta.origin else { return };
        let distance = line.wrapping_sub(stored).cast_signed();
        match unchanged.runs.last_mut() {
            Some(run) if run.last + 1 == ordinal && run.distance == distance => run.last = ordinal,
            _ => {
                if unchanged.runs.len() < MAX_RUNS {
                    unchanged.runs.push(LineRun { first: ordinal, last: ordinal, distance });
                }
            }
        }
    }

    /// Returns the number of equal records without a key that the upload has passed, if more than one.
    pub(crate) fn repeats(&self, stream: u16, first: Key) -> u64 {
        self.repeats.get(&(stream, first)).copied().unwrap_or(0)
    }

    /// Notes how many equal records without a key the upload has passed.
    pub(crate) fn note_repeats(&mut self, stream: u16, first: Key, repeats: u64) {
        self.repeats.insert((stream, first), repeats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryDetail;

    /// Entries of an earlier upload are found with the line that they have in this one.
    #[test]
    fn unchanged_entries_have_the_line_of_this_upload() {
        let stored = |upload, line| EntryMetadata {
            hash: [0; 16],
            origin: Origin::Line(line),
            upload,
            status: 1,
            detail: EntryDetail::None,
            notes: vec![],
        };
        let mut entries = UploadEntries::new(5);
        // The first three lines are as before; a line was inserted before the others; the last one is now the first.
        let passed = [(0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 4, 5), (4, 5, 6), (9, 10, 7)];
        for (ordinal, before, now) in passed {
            assert!(!entries.has_passed(1, ordinal, &stored(2, before)));
            entries.pass_unchanged(1, ordinal, &stored(2, before), now);
        }
        for (ordinal, before, now) in passed {
            assert!(entries.has_passed(1, ordinal, &stored(2, before)));
            assert_eq!(entries.line_of(1, ordinal, &stored(2, before)), Some(now));
        }
        assert!(!entries.has_passed(2, 0, &stored(2, 1)), "another stream");
        assert!(entries.has_passed(1, 77, &stored(5, 8)), "an entry of this upload");
        assert_eq!(entries.line_of(1, 77, &stored(5, 8)), Some(8));
        assert_eq!(entries.confirmed().collect::<Vec<_>>(), [2]);
        assert!(!UploadEntries::replacing(5).has_passed(1, 77, &stored(5, 8)));
    }
}
