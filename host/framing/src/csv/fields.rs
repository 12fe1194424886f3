//! Fields of one row of a table.

use super::row::CsvDialect;

/// Passes the fields of a row with correct quotes to `field`.
pub fn fields(text: &str, dialect: CsvDialect, mut field: impl FnMut(&str)) {
    let (separator, bytes) = (dialect.separator, text.as_bytes());
    let mut rest = 0;
    loop {
        let quote = dialect.quote.filter(|quote| bytes.get(rest) == Some(quote));
        let Some(quote) = quote else {
            let end = memchr::memchr(separator, &bytes[rest..]).map_or(bytes.len(), |end| rest + end);
            field(&text[rest..end]);
            if end == bytes.len() {
                return;
            }
            rest = end + 1;
            continue;
        };
        let mut value = String::new();
        let mut from = rest + 1;
        // A quote inside a quoted field is doubled.
        let end = loop {
            let end = memchr::memchr(quote, &bytes[from..]).map_or(bytes.len(), |end| from + end);
            value.push_str(&text[from..end]);
            if bytes.get(end + 1) != Some(&quote) {
                break end + 1;
            }
            value.push(char::from(quote));
            from = end + 2;
        };
        field(&value);
        if end >= bytes.len() {
            return;
        }
        rest = end + 1;
    }
}
