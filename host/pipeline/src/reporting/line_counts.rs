//! Verification of lines: the lines of each table that were read, beside those that are accounted for.

use std::collections::BTreeMap;

use super::counts::VerificationCount;
use crate::{MigrationContext, PipelineError};
use sluice_catalog::{CatalogError, CatalogUpload};
use sluice_model::{Cell, Name, UploadLines};

/// Name of the count of lines.
pub(crate) const LINES: Name = Name::new("TotalLines");

/// The part of an upload that its lines are counted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedUpload<'a> {
    /// Source or entity type.
    pub stream: &'a str,
    /// True if a mapper mapped the records.
    pub is_source: bool,
    /// True if the upload came to its end.
    pub is_complete: bool,
    /// Lines, if the upload has come to an end and has lines.
    pub lines: Option<UploadLines>,
}

/// Lines of a source or an entity type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamLines {
    /// Lines that were read.
    pub read: u64,
    /// Lines that are accounted for.
    pub accounted: u64,
    /// True if the last upload came to its end, so that no line is missing.
    pub is_complete: bool,
}

impl StreamLines {
    fn agree(&self) -> bool {
        self.is_complete && self.accounted == self.read
    }
}

/// Returns the lines of each stream: of a source's last upload, because it replaces the others, and of all uploads of an
/// entity type.
pub(super) fn stream_lines<'a>(
    uploads: impl IntoIterator<Item = CountedUpload<'a>>,
) -> BTreeMap<(&'a str, bool), StreamLines> {
    let mut streams = BTreeMap::<_, StreamLines>::new();
    for CountedUpload { stream, is_source, is_complete, lines } in uploads {
        let counted = streams.entry((stream, is_source)).or_default();
        if is_source {
            *counted = StreamLines::default();
        }
        counted.is_complete = is_complete;
        // An upload that broke off is sent again, so its lines do not count.
        if let Some(lines) = lines.filter(|_| is_complete) {
            counted.read += lines.read;
            counted.accounted += lines.accounted();
        }
    }
    streams
}

fn counted(upload: &CatalogUpload) -> CountedUpload<'_> {
    let end = upload.ended.as_ref().and_then(|(_, end)| end.as_ref().ok());
    CountedUpload {
        stream: &upload.stream,
        is_source: upload.mapper.is_some(),
        is_complete: end.is_some_and(|end| !end.broken_off),
        lines: end.and_then(|end| end.lines),
    }
}

fn uploads(context: &MigrationContext) -> Result<Vec<CatalogUpload>, CatalogError> {
    let mut uploads = context.store.uploads(context.migration.reference_id)?;
    uploads.retain(|upload| !upload.remap && upload.withdrawn_at.is_none());
    Ok(uploads)
}

/// Returns the first source or entity type with a line that is not accounted for.
pub(crate) fn incomplete_stream(context: &MigrationContext) -> Result<Option<Name>, CatalogError> {
    let uploads = uploads(context)?;
    let streams = stream_lines(uploads.iter().map(counted));
    let found = streams.into_iter().find(|(_, lines)| !lines.agree());
    Ok(found.map(|((stream, _), _)| Name::from_storage(stream)))
}

/// Adds the count of lines to the counts. Returns true if the counts agreed before, and the lines agree as well.
pub(crate) fn add_line_counts(
    context: &MigrationContext,
    (agree, mut counts): (bool, Vec<VerificationCount>),
) -> Result<(bool, Vec<VerificationCount>), PipelineError> {
    let uploads = uploads(context)?;
    let streams = stream_lines(uploads.iter().map(counted));
    let lines_agree = streams.values().all(StreamLines::agree);
    if !streams.is_empty() {
        let row = |stream: &str, lines: u64| vec![Cell::from(&Name::from_storage(stream)), lines.into()];
        let complete = streams.iter().filter(|(_, lines)| lines.is_complete);
        counts.push(VerificationCount {
            name: LINES,
            headers: vec![Name::new("upload"), Name::new("lines")],
            staged_rows: streams.iter().map(|((stream, _), lines)| row(stream, lines.read)).collect(),
            imported_rows: complete.map(|((stream, _), lines)| row(stream, lines.accounted)).collect(),
        });
    }
    Ok((agree && lines_agree, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(is_source: bool, is_complete: bool, read: u64, lost: u64) -> CountedUpload<'static> {
        let lines = UploadLines { read, header: 1, accepted: read - lost - 1, ..UploadLines::default() };
        CountedUpload { stream: "a", is_source, is_complete, lines: Some(lines) }
    }

    #[test]
    fn lines_of_streams() {
        let of = |read, accounted, is_complete| StreamLines { read, accounted, is_complete };
        let whole = |read, lost| upload(true, true, read, lost);
        let part = |read, lost| upload(false, true, read, lost);
        let cut = |is_source| upload(is_source, false, 2, 0);
        let cases: &[(&str, &[CountedUpload], StreamLines, bool)] = &[
            ("complete", &[whole(5, 0)], of(5, 5, true), true),
            ("a line is lost", &[whole(5, 1)], of(5, 4, true), false),
            ("sent again", &[whole(5, 1), whole(6, 0)], of(6, 6, true), true),
            ("broken off", &[whole(5, 0), cut(true)], of(0, 0, false), false),
            ("broken off, and sent again", &[cut(true), whole(5, 0)], of(5, 5, true), true),
            ("in parts", &[part(5, 0), part(3, 0)], of(8, 8, true), true),
            ("a part lost a line", &[part(5, 1), part(3, 0)], of(8, 7, true), false),
            ("a part is broken off", &[part(5, 0), cut(false)], of(5, 5, false), false),
            ("a part is sent again", &[part(5, 0), cut(false), part(3, 0)], of(8, 8, true), true),
            (
                "a part lost a line before one was broken off",
                &[part(5, 1), cut(false), part(3, 0)],
                of(8, 7, true),
                false,
            ),
        ];
        for (name, uploads, expected, agree) in cases {
            let lines = stream_lines(uploads.iter().copied());
            let found = lines.values().next().unwrap();
            assert_eq!((*found, found.agree()), (*expected, *agree), "{name}");
        }
    }
}
