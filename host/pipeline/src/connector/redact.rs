//! Redaction of calls for display: every value of a record is masked, and every value of a response is replaced by its
//! name.

use serde_json::value::RawValue;

use sluice_contract::CallPart;

/// Returns a path with names in place of ids.
pub fn redacted_path(pieces: &[CallPart]) -> String {
    let piece = |piece: &CallPart| match piece {
        CallPart::Constant(text) => text.clone(),
        CallPart::Value(_) => "{id}".into(),
        CallPart::Answer { name, .. } => format!("{{{}}}", plain(name)),
    };
    pieces.iter().map(piece).collect()
}

/// Returns a body in which every value of a record is masked; none if there is no body.
pub fn redacted_body(pieces: &[CallPart]) -> Option<Box<RawValue>> {
    let piece = |piece: &CallPart| match piece {
        CallPart::Constant(text) => text.clone(),
        CallPart::Value(json) => placeholder(json).into(),
        CallPart::Answer { name, .. } => format!("\"<{}>\"", plain(name)),
    };
    RawValue::from_string(pieces.iter().map(piece).collect()).ok()
}

/// Returns the name of a response's value without the id that may be part of it.
fn plain(name: &str) -> String {
    name.split(['-', ':']).next().unwrap_or_default().chars().filter(char::is_ascii_alphabetic).collect()
}

/// Returns a placeholder that shows only the kind of a value.
fn placeholder(json: &str) -> &'static str {
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
        let value = |text: &str| CallPart::Value(text.into());
        let constant = |text: &str| CallPart::Constant(text.into());
        let answer = CallPart::Answer { kind: "loans".into(), id: [1; 16], name: "repayment-7f3a".into() };
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
        let redacted = redacted_body(&body).unwrap();
        assert_eq!(redacted.get(), r#"{"a":"***","b":"9999-99-99","c":99.99,"d":null,"e":"<repayment>"}"#);
        assert_eq!(
            redacted_path(&[constant("/loans/"), value("7f3a"), constant("/"), answer]),
            "/loans/{id}/{repayment}"
        );
    }
}
