//! Sending source records as they were uploaded: bytes, header, encoding, line ends and media type.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

use super::send_records::{STREAM_BYTES, STREAM_RECORDS};
use crate::http::problem::Problem;
use crate::http::streamed::{ResponsePieces, streamed};
use sluice_model::message;
use sluice_pipeline::OriginalFormat;
use sluice_staging::{OriginalForm, StagedBatch, StagedEntry, StagingArea, StagingError, StreamName};

/// Header field with the query with which a corrected table is uploaded.
const UPLOAD_QUERY: HeaderName = HeaderName::from_static("sluice-upload-query");

/// Header field with the number of records that are not sent, because their bytes were not kept.
const NOT_KEPT: HeaderName = HeaderName::from_static("sluice-records-not-kept");

/// A filter of source records.
pub type RecordFilter = Box<dyn Fn(&StagedEntry) -> bool + Send>;

/// The formats of the wanted records, each with the number of an upload, and the number of records that were not kept.
struct WantedFormats {
    formats: BTreeMap<Vec<u8>, u32>,
    not_kept: u64,
}

fn each_wanted(
    area: &StagingArea,
    source: &str,
    wanted: &RecordFilter,
    mut each: impl FnMut(&StagedEntry, &[u8], Option<(&[u8], &OriginalForm)>) -> bool,
) -> Result<(), StagingError> {
    let (mut batch, mut originals) = (StagedBatch::default(), area.originals(source)?);
    let mut reader = area.reader(StreamName::Source(source), 0)?;
    while reader.next_batch(&mut batch, STREAM_RECORDS, STREAM_BYTES)? {
        for (position, entry) in batch.entries.iter().enumerate().filter(|(_, entry)| wanted(entry)) {
            if !each(entry, batch.body(position), originals.of(entry.ordinal)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn formats(area: &StagingArea, source: &str, wanted: &RecordFilter) -> Result<WantedFormats, StagingError> {
    let mut found = WantedFormats { formats: BTreeMap::new(), not_kept: 0 };
    each_wanted(area, source, wanted, |entry, body, kept| {
        if body.is_empty() {
            found.not_kept += 1;
        } else if let Some((format, _)) = kept {
            if !found.formats.contains_key(format) {
                found.formats.insert(format.to_vec(), entry.upload);
            }
        } else {
            found.formats.entry(vec![]).or_insert(entry.upload);
        }
        true
    })?;
    Ok(found)
}

/// Returns a response with the wanted records of a source as they were uploaded. Fails if they were uploaded in several
/// formats.
pub fn original_records(
    area: std::sync::Arc<StagingArea>,
    source: String,
    wanted: RecordFilter,
    still_valid: impl Fn() -> bool + Send + 'static,
) -> Result<Response, Problem> {
    let WantedFormats { formats, not_kept } = formats(&area, &source, &wanted)?;
    if formats.len() > 1 {
        let uploads: Vec<u64> = formats.values().map(|upload| u64::from(*upload)).collect();
        let detail = message!(
            "The records were uploaded in {} formats, such as by the uploads {}. Add upload=NUMBER for the records of one \
             upload, or leave out form=uploaded.",
            formats.len(),
            uploads
        );
        return Err(Problem::conflict("SEVERAL_FORMATS", detail));
    }
    let kept = formats.into_keys().next().filter(|kept| !kept.is_empty());
    let read = kept.as_deref().and_then(OriginalFormat::read);
    let (format, head) = read.map_or((OriginalFormat::json_lines(), vec![]), |(format, head)| (format, head.to_vec()));
    let (content_type, query) = (content_type(&format), upload_query(&format));
    let mut response = streamed("", "STAGING_FAILED", move |pieces: &ResponsePieces| {
        if !head.is_empty() && !pieces.send(head) {
            return Ok::<_, StagingError>(());
        }
        let mut piece = vec![];
        each_wanted(&area, &source, &wanted, |_, body, kept| {
            format.write(kept.map_or(&OriginalForm::Body, |(_, form)| form), body, &mut piece);
            if piece.len() < STREAM_BYTES {
                return true;
            }
            if !still_valid() {
                pieces.abort("the client was revoked");
                return false;
            }
            pieces.send(std::mem::take(&mut piece))
        })?;
        if !piece.is_empty() {
            pieces.send(piece);
        }
        Ok(())
    });
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    response.headers_mut().insert(header::CONTENT_TYPE, value(&content_type));
    if !query.is_empty() {
        response.headers_mut().insert(UPLOAD_QUERY, value(&query));
    }
    if not_kept > 0 {
        response.headers_mut().insert(NOT_KEPT, value(&not_kept.to_string()));
    }
    Ok(response)
}

fn content_type(format: &OriginalFormat) -> String {
    match format {
        OriginalFormat { table: true, charset, header, .. } => {
            let header = if *header { "present" } else { "absent" };
            format!("text/csv; charset={}; header={header}", charset.to_ascii_lowercase())
        }
        OriginalFormat { sequence: true, .. } => "application/json-seq".into(),
        _ => "application/jsonl".into(),
    }
}

/// Returns the query with which a table in this format is uploaded.
fn upload_query(format: &OriginalFormat) -> String {
    if !format.table {
        return String::new();
    }
    let mut parameters = vec![];
    if format.separator != b',' {
        parameters.push(("separator", char::from(format.separator).to_string()));
    }
    match format.quote {
        Some(b'"') => {}
        Some(quote) => parameters.push(("quote", char::from(quote).to_string())),
        None => parameters.push(("quote", "none".into())),
    }
    parameters.extend(format.columns.as_ref().map(|columns| ("columns", columns.join(","))));
    let encoded = |text: &str| text.bytes().map(percent_encoded).collect::<String>();
    parameters.iter().map(|(name, text)| format!("{name}={}", encoded(text))).collect::<Vec<_>>().join("&")
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
