//! Calls as they may be shown to anybody: every value out of a record is masked, every answer named and not told.

use serde_json::value::RawValue;

use sluice_contract::Piece;

/// A path with names in place of ids.
pub fn masked_path(pieces: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Constant(text) => text.clone(),
        Piece::Value(_) => "{id}".into(),
        Piece::Answer { name, .. } => format!("{{{}}}", plain(name)),
    };
    pieces.iter().map(piece).collect()
}

/// A body in which nothing of a record is left; none where there is no body.
pub fn masked_body(pieces: &[Piece]) -> Option<Box<RawValue>> {
    let piece = |piece: &Piece| match piece {
        Piece::Constant(text) => text.clone(),
        Piece::Value(json) => masked(json).into(),
        Piece::Answer { name, .. } => format!("\"<{}>\"", plain(name)),
    };
    RawValue::from_string(pieces.iter().map(piece).collect()).ok()
}

/// A name by which an answer is kept, without the id that may be in it.
fn plain(name: &str) -> String {
    name.split(['-', ':']).next().unwrap_or_default().chars().filter(char::is_ascii_alphabetic).collect()
}

/// What stands for a value: only its kind is left of it.
fn masked(json: &str) -> &'static str {
    let text = json.trim_matches('"');
    let digits = |pattern: &str| {
        text.len() >= pattern.len()
            && pattern.bytes().zip(text.bytes()).all(|(p, b)| if p == b'9' { b.is_ascii_digit() } else { p == b })
    };
    match json.as_bytes().first() {
        Some(b'"') if digits("9999-99-99T99:99:99") => "\"9999-99-99T99:99:99Z\"",
        Some(b'"') if digits("9999-99-99") => "\"9999-99-99\"",
        Some(b'"') => "\"***\"",
        Some(b'0'..=b'9' | b'-') if json.contains('.') => "99.99",
        Some(b'0'..=b'9' | b'-') => "99",
        _ => "null",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_record_is_left() {
        let value = |text: &str| Piece::Value(text.into());
        let constant = |text: &str| Piece::Constant(text.into());
        let answer = Piece::Answer { kind: "loans".into(), id: [1; 16], name: "repayment-7f3a".into() };
        let body = [
            constant("{\"a\":"),
            value("\"Novák\""),
            constant(",\"b\":"),
            value("\"1970-12-13\""),
            constant(",\"c\":"),
            value("96396.00"),
            constant(",\"d\":"),
            value("true"),
            constant(",\"e\":"),
            answer.clone(),
            constant("}"),
        ];
        let masked = masked_body(&body).unwrap();
        assert_eq!(masked.get(), r#"{"a":"***","b":"9999-99-99","c":99.99,"d":null,"e":"<repayment>"}"#);
        assert_eq!(
            masked_path(&[constant("/loans/"), value("7f3a"), constant("/"), answer]),
            "/loans/{id}/{repayment}"
        );
    }
}
