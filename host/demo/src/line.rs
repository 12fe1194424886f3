//! A row of a legacy table, and how it is written as a line of JSON.

/// Fields that the widest table has.
const MAX_FIELDS: usize = 10;

/// What a field holds, as the old bank wrote it.
#[derive(Clone, Copy)]
pub enum Value {
    Null,
    Whole(u64),
    Text(&'static str),
    /// Digits in quotes, with zeros in front up to this width.
    Digits(u64, usize),
    /// Hundredths of a crown, written with as few fraction digits as do, and one at least.
    Money(u64),
    /// The same below zero.
    Owed(u64),
    /// A street and a number.
    Street(&'static str, u64),
    /// A day with a time of day that is always midnight.
    Midnight(u64),
    /// Text that is not UTF-8.
    Broken,
}

/// Names and values of one record.
#[derive(Clone, Copy)]
pub struct Fields {
    fields: [(&'static str, Value); MAX_FIELDS],
    len: usize,
}

impl Fields {
    pub fn new(given: &[(&'static str, Value)]) -> Self {
        let mut fields = [("", Value::Null); MAX_FIELDS];
        fields[..given.len()].copy_from_slice(given);
        Self { fields, len: given.len() }
    }

    /// Puts another value in a field's place.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Some((_, old)) = self.fields[..self.len].iter_mut().find(|(field, _)| *field == name) {
            *old = value;
        }
    }

    /// Leaves a field out.
    pub fn remove(&mut self, name: &str) {
        if let Some(index) = self.fields[..self.len].iter().position(|(field, _)| *field == name) {
            self.fields.copy_within(index + 1..self.len, index);
            self.len -= 1;
        }
    }

    /// Writes the record as a JSON object, without a newline.
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

    /// Writes the values with semicolons between them, as the bank's own export has them: not JSON.
    pub fn write_semicolons(&self, out: &mut Vec<u8>) {
        for (_, value) in &self.fields[..self.len] {
            value.write_json(out);
            out.push(b';');
        }
    }
}

impl Value {
    fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Whole(number) => write_digits(number, 1, out),
            Value::Money(hundredths) => write_money(hundredths, out),
            Value::Owed(hundredths) => {
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
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Digits(number, width) => write_digits(number, width, out),
            Value::Street(name, number) => {
                out.extend_from_slice(name.as_bytes());
                out.push(b' ');
                write_digits(number, 1, out);
            }
            Value::Midnight(yymmdd) => {
                write_digits(yymmdd, 6, out);
                out.extend_from_slice(b" 00:00:00");
            }
            Value::Broken => out.extend_from_slice(&[b'C', 0xFF, 0xFE]),
            Value::Null | Value::Whole(_) | Value::Money(_) | Value::Owed(_) => {}
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

/// Digits, with zeros in front up to `width`. By hand: a bank of millions is mostly numbers.
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

    fn json(value: Value) -> String {
        let mut out = vec![];
        value.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn values_are_written_as_the_bank_wrote_them() {
        let cases = [
            (Value::Null, "null"),
            (Value::Whole(0), "0"),
            (Value::Whole(u64::MAX), "18446744073709551615"),
            (Value::Digits(1203, 6), "\"001203\""),
            (Value::Money(70_000), "700.0"),
            (Value::Money(1_405), "14.05"),
            (Value::Money(1_450), "14.5"),
            (Value::Owed(10), "-0.1"),
            (Value::Street("Lipova", 7), "\"Lipova 7\""),
            (Value::Midnight(931_107), "\"931107 00:00:00\""),
        ];
        for (value, wanted) in cases {
            assert_eq!(json(value), wanted);
        }
    }

    #[test]
    fn a_field_can_be_changed_and_left_out() {
        let mut fields = Fields::new(&[("a", Value::Whole(1)), ("b", Value::Whole(2)), ("c", Value::Whole(3))]);
        fields.remove("b");
        fields.set("c", Value::Text("x"));
        let mut out = vec![];
        fields.write_json(&mut out);
        assert_eq!(out, br#"{"a":1,"c":"x"}"#);
    }
}
