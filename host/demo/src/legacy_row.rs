//! Rows of legacy tables, written as lines of JSON.

/// Number of fields of the widest table.
const MAX_FIELDS: usize = 10;

/// A value of a field, in the form of the old bank.
#[derive(Clone, Copy)]
pub enum LegacyValue {
    /// Null.
    Null,
    /// A whole number.
    Whole(u64),
    /// A text.
    Text(&'static str),
    /// Digits in quotes, with leading zeros up to this width.
    Digits(u64, usize),
    /// An amount in hundredths of a crown, written with at least one fraction digit and no further trailing zero.
    Money(u64),
    /// A negative amount in hundredths of a crown.
    Owed(u64),
    /// A street and a house number.
    Street(&'static str, u64),
    /// A day with the time of midnight.
    Midnight(u64),
    /// A text that is not UTF-8.
    Broken,
}

/// The fields of a row: names and values.
#[derive(Clone, Copy)]
pub struct LegacyFields {
    fields: [(&'static str, LegacyValue); MAX_FIELDS],
    len: usize,
}

impl LegacyFields {
    /// Makes the fields of a row, at most [`MAX_FIELDS`].
    pub fn new(given: &[(&'static str, LegacyValue)]) -> Self {
        let mut fields = [("", LegacyValue::Null); MAX_FIELDS];
        fields[..given.len()].copy_from_slice(given);
        Self { fields, len: given.len() }
    }

    /// Replaces the value of a field, if the row has it.
    pub fn set(&mut self, name: &str, value: LegacyValue) {
        if let Some((_, old)) = self.fields[..self.len].iter_mut().find(|(field, _)| *field == name) {
            *old = value;
        }
    }

    /// Removes a field, if the row has it.
    pub fn remove(&mut self, name: &str) {
        if let Some(index) = self.fields[..self.len].iter().position(|(field, _)| *field == name) {
            self.fields.copy_within(index + 1..self.len, index);
            self.len -= 1;
        }
    }

    /// Writes the row as a JSON object, without a newline.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, value)) in self.fields[..self.len].iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            value.write_json(out);
        }
        out.push(b'}');
    }

    /// Writes the values with semicolons, as the bank's own export does. The result is not JSON.
    pub fn write_semicolons(&self, out: &mut Vec<u8>) {
        for (_, value) in &self.fields[..self.len] {
            value.write_json(out);
            out.push(b';');
        }
    }
}

impl LegacyValue {
    fn write_json(self, out: &mut Vec<u8>) {
        match self {
            LegacyValue::Null => out.extend_from_slice(b"null"),
            LegacyValue::Whole(number) => write_digits(number, 1, out),
            LegacyValue::Money(hundredths) => write_money(hundredths, out),
            LegacyValue::Owed(hundredths) => {
                out.push(b'-');
                write_money(hundredths, out);
            }
            text => {
                out.push(b'"');
                text.write_text(out);
                out.push(b'"');
            }
        }
    }

    fn write_text(self, out: &mut Vec<u8>) {
        match self {
            LegacyValue::Text(text) => out.extend_from_slice(text.as_bytes()),
            LegacyValue::Digits(number, width) => write_digits(number, width, out),
            LegacyValue::Street(name, number) => {
                out.extend_from_slice(name.as_bytes());
                out.push(b' ');
                write_digits(number, 1, out);
            }
            LegacyValue::Midnight(yymmdd) => {
                write_digits(yymmdd, 6, out);
                out.extend_from_slice(b" 00:00:00");
            }
            LegacyValue::Broken => out.extend_from_slice(&[b'C', 0xFF, 0xFE]),
            LegacyValue::Null | LegacyValue::Whole(_) | LegacyValue::Money(_) | LegacyValue::Owed(_) => {}
        }
    }
}

fn write_money(hundredths: u64, out: &mut Vec<u8>) {
    write_digits(hundredths / 100, 1, out);
    out.push(b'.');
    match hundredths % 100 {
        tenths if tenths % 10 == 0 => write_digits(tenths / 10, 1, out),
        rest => write_digits(rest, 2, out),
    }
}

/// Writes digits with leading zeros up to `width`. Does not use `format!`, because most of a bank's bytes are numbers.
fn write_digits(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: LegacyValue) -> String {
        let mut out = vec![];
        value.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn values_are_written_in_the_banks_form() {
        let cases = [
            (LegacyValue::Null, "null"),
            (LegacyValue::Whole(0), "0"),
            (LegacyValue::Whole(u64::MAX), "18446744073709551615"),
            (LegacyValue::Digits(1203, 6), "\"001203\""),
            (LegacyValue::Money(70_000), "700.0"),
            (LegacyValue::Money(1_405), "14.05"),
            (LegacyValue::Money(1_450), "14.5"),
            (LegacyValue::Owed(10), "-0.1"),
            (LegacyValue::Street("Lipova", 7), "\"Lipova 7\""),
            (LegacyValue::Midnight(931_107), "\"931107 00:00:00\""),
        ];
        for (value, wanted) in cases {
            assert_eq!(json(value), wanted);
        }
    }

    #[test]
    fn a_field_can_be_changed_and_removed() {
        let mut fields = LegacyFields::new(&[
            ("a", LegacyValue::Whole(1)),
            ("b", LegacyValue::Whole(2)),
            ("c", LegacyValue::Whole(3)),
        ]);
        fields.remove("b");
        fields.set("c", LegacyValue::Text("x"));
        let mut out = vec![];
        fields.write_json(&mut out);
        assert_eq!(out, br#"{"a":1,"c":"x"}"#);
    }
}
