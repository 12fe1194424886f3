//! Keys that refused rows of a table probably have. A row with a wrong number of fields or a stray quote has no key that
//! could be trusted. But its correction, which comes with a later upload, has one, and has to replace the refused row. So
//! the text in the place of the key is noted. It is used for nothing else.

use hashbrown::HashMap;

use crate::load::OriginalFormat;
use crate::lookups::KEY_SEPARATOR;
use sluice_contract::SourceTable;
use sluice_framing::{Charset, Fault, RawBatch};
use sluice_staging::{Key, UploadedForm, hash};

/// Returns the probable keys of the refused rows of a batch, by position.
pub(crate) fn probable_keys(
    uploaded: Option<&UploadedForm>,
    raw: &RawBatch,
    source: &SourceTable,
) -> HashMap<usize, Key> {
    let mut keys = HashMap::new();
    let of_row = |fault: Fault| matches!(fault, Fault::FieldCount | Fault::Quotes | Fault::Encoding);
    let mut refused = raw.faults.iter().filter(|(_, fault)| of_row(*fault)).peekable();
    let format = uploaded.and_then(|uploaded| OriginalFormat::read(&uploaded.format));
    let (Some((format, head)), Some(_)) = (format.filter(|(format, _)| format.table), refused.peek()) else {
        return keys;
    };
    let names = match &format.columns {
        Some(names) => names.clone(),
        None if format.header => fields(&format, head, true),
        None => vec![],
    };
    let place = |field: &String| match names.iter().position(|name| name == field) {
        // The columns of a table without names are called by their numbers.
        None if names.is_empty() => field.parse::<usize>().ok()?.checked_sub(1),
        place => place,
    };
    let places: Option<Vec<usize>> = source.key.iter().map(place).collect();
    let Some(places) = places else { return keys };
    for (position, _) in refused {
        let row = fields(&format, raw.record(*position as usize), false);
        let parts: Option<Vec<&str>> = places.iter().map(|place| row.get(*place).map(String::as_str)).collect();
        if let Some(parts) = parts.filter(|parts| parts.iter().all(|part| !part.is_empty())) {
            keys.insert(*position as usize, hash(&[parts.join(KEY_SEPARATOR).as_bytes()]));
        }
    }
    keys
}

/// Returns the fields of the first line of a row, or of the last line of a header, split at each separator.
fn fields(format: &OriginalFormat, bytes: &[u8], of_header: bool) -> Vec<String> {
    let charset = Charset::named(&format.charset).unwrap_or(Charset::UTF_8);
    let text = charset.decode(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes));
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let line = if of_header { lines.next_back() } else { lines.next() };
    let separator = char::from(format.separator);
    let quote = format.quote.map(char::from);
    let unquoted = |field: &str| quote.map_or(field, |quote| field.trim_matches(quote)).to_owned();
    line.map(|line| line.split(separator).map(unquoted).collect()).unwrap_or_default()
}
